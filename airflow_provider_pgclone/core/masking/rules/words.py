"""Words that masked names, companies and addresses are made of; none is from a real person."""


def _words(text: str, separator: str | None = None) -> tuple[str, ...]:
    return tuple(" ".join(word.split()) for word in text.split(separator))


FIRST_NAMES = _words(
    """
    Ada Alan Alma Amir Ana Anton Aria Arno Bela Ben Bruno Carla Carl Cleo Cora Dana Dario David
    Dina Dora Edda Eli Elena Emil Emma Enzo Erik Esra Eva Fay Felix Fred Gina Greta Hana Hugo Ida
    Igor Ilse Ines Ivo Jana Jari Joan Joel Jon Jule Kai Kara Karl Kim Lara Lars Lea Leo Lina Livia
    Lou Luca Luis Lynn Mara Marc Mae Mia Milo Mona Nico Nina Noah Nora Nuri Olga Omar Otto Paul
    Pia Quinn Rafi Rana Rita Rosa Ruth Sam Sara Sven Tara Theo Tina Toni Uma Vera Vito Willa Xenia
    Yara Yuri Zara Zeno
    """
)
LAST_NAMES = _words(
    """
    Abel Adler Ames Arendt Bach Baker Banks Barr Bauer Beck Bell Berg Blake Bloom Boyd Brandt
    Braun Brook Burke Burns Byrne Carr Clay Cole Conti Cook Costa Craig Cross Dale Dean Diaz Doyle
    Duval Eder Ellis Engel Faber Field Finch Flynn Ford Fox Frank Frost Garner Gomez Grant Gray
    Green Haas Hall Hart Hayes Heine Hill Holm Hood Hunt Jansen Jones Keller Kelly Kent King Klein
    Kraft Lang Larsen Lowe Lund Marsh Mason Meyer Mills Moore Moran Moss Nash Nolan Novak Olsen
    Owens Park Perez Pope Quick Reyes Rhodes Rice Ross Rossi Rowe Sato Shaw Silva Stone Swan Vega
    Voss Wagner Walsh Weber West Wolf Wood York Young Zeller
    """
)
CITIES = _words(
    """
    Adlerbrook Amberfield Ashport Birchton Bluewater Brackenford Bridgemoor Cedarville Clearmont
    Cliffhaven Coalbridge Copperton Cranfield Dunmore Eastmere Elmstead Fairhollow Ferndale
    Foxbury Glenport Goldenhill Granford Greenwick Harrowgate Hawkridge Hazelton Highmere
    Hollybank Ironvale Juniper Kingsmoor Lakeside Larkfield Lindenau Maplewood Marlow Meadowbrook
    Millhaven Mossbury Northgate Oakridge Oldport Pinecrest Quarryton Ravenmoor Redcliff Riverton
    Rosefield Sandhaven Silverlake Southmere Springvale Stonebridge Summerhill Thornbury Underwood
    Valeport Westbrook Whitewater Willowdale Windmere Wintermere Woodhaven Yarrow
    """
)
STREETS = _words(
    """
    Alder Street, Ash Lane, Bay Road, Beech Avenue, Birch Road, Bridge Street, Brook Lane, Canal
    Street, Castle Road, Cedar Avenue, Chapel Lane, Cherry Way, Church Street, Cliff Road, Cross
    Street, Dale Road, Elm Street, Field Lane, Forest Avenue, Garden Street, Grove Road, Harbour
    Way, Hazel Lane, High Street, Hill Road, Holly Way, Ivy Lane, Lake Street, Lime Avenue, Linden
    Way, Maple Street, Market Place, Meadow Lane, Mill Road, Moor Lane, North Street, Oak Avenue,
    Orchard Way, Park Road, Pine Street, Pond Lane, Quay Street, Ridge Road, River Street, Rose
    Lane, School Road, Sea View, Spring Street, Station Road, Stone Lane, Sunset Way, Temple
    Street, Tower Road, Valley Road, Vine Street, Walnut Way, Water Lane, Well Street, West Road,
    Willow Lane, Wood Street, Yew Lane
    """,
    ",",
)
COMPANIES = _words(
    """
    Acorn Alpine Amber Anchor Apex Arbor Atlas Aurora Beacon Birch Bluebird Bolt Bright Canyon
    Cedar Cobalt Comet Copper Coral Crest Crown Delta Drift Eagle Echo Ember Falcon Fern Flint
    Forge Glacier Granite Harbor Harvest Hazel Horizon Iris Ivory Jade Juniper Keystone Lantern
    Laurel Lumen Maple Meridian Mosaic Nimbus North Oak Onyx Orbit Osprey Pearl Pine Pioneer Prism
    Quartz Raven Ridge River Sable Sierra Silver Slate Solar Spruce Summit Tidal Timber Umber
    Vertex Violet Willow Zenith
    """
)
COMPANY_FORMS = ("Works", "Group", "Labs", "Trading", "Systems", "Partners", "Foods", "Logistics")
LOREM = (
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut "
    "labore et dolore magna aliqua ut enim ad minim veniam quis nostrud exercitation ullamco "
    "laboris nisi ut aliquip ex ea commodo consequat duis aute irure dolor in reprehenderit in "
    "voluptate velit esse cillum dolore eu fugiat nulla pariatur excepteur sint occaecat "
    "cupidatat non proident "
)
