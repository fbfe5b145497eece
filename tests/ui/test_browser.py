"""A person restores a dump, and undoes it, in a browser: the page Dumps and Airflow's own pages.

It is one test, because Airflow takes minutes to start. Who may see and start what is tested by
``tests/airflow/test_dumps_page.py``: here everybody is an administrator.
"""

import re

import pytest
from playwright.sync_api import Locator, expect

from example_dags.demo import shop
from tests.support.fixtures.browser import Person

_COLOURS = """element => {
    const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const light = (colour) => {
        paint.fillStyle = colour;
        paint.fillRect(0, 0, 1, 1);
        return paint.getImageData(0, 0, 1, 1).data.slice(0, 3).reduce((sum, one) => sum + one);
    };
    const behind = getComputedStyle(document.documentElement).backgroundColor;
    return [light(getComputedStyle(element).color), light(behind)];
}"""


@pytest.mark.timeout(1500)
def test_a_person_restores_and_undoes_in_a_browser(person: Person) -> None:
    before = shop.count(person.airflow.server, shop.STAGING)
    databases = person.databases()
    _look_at_the_dumps(person)

    rows = _open_the_third_oldest(person)
    run = _start(person, "Restore…", f"Restore over {shop.STAGING}")
    _reject(person)
    assert person.state_of_run(run) == "success"
    assert shop.count(person.airflow.server, shop.STAGING) == before
    assert person.databases() == databases

    assert _open_the_third_oldest(person) == rows
    run = _start(person, "Restore…", f"Restore over {shop.STAGING}")
    _approve(person, run, f"{int(str(before['orders'])):,} {rows['orders']:,}", picture="approve")
    assert person.state_of_run(run) == "success"
    after = shop.count(person.airflow.server, shop.STAGING)
    assert {name: after[name] for name in ("orders", "users")} == rows
    assert after["users with a real email"] == 0
    _follow_the_link_to_the_dump(person, run)

    _open_dumps(person)
    expect(person.page.get_by_role("article").get_by_text("manual_restore")).to_be_visible()
    person.picture("dumps")
    run = _start(person, "Undo…", f"Turn {shop.STAGING} back")
    _approve(person, run, f"{rows['orders']:,} {int(str(before['orders'])):,}")
    assert person.state_of_run(run) == "success"
    assert shop.count(person.airflow.server, shop.STAGING) == before
    _see_that_it_is_undone(person)

    for database in (shop.PRODUCTION, "shop_stagin"):
        _see_it_refused(person, database)
    assert shop.count(person.airflow.server, shop.STAGING) == before

    _pick_from_the_list(person)
    _test_a_connection(person)
    _turn_the_light_off(person)


def _open_dumps(person: Person) -> Locator:
    """Open the page by the menu, and return the rows of its list, the newest first."""
    person.open("")
    person.page.get_by_role("button", name="Browse").click()
    person.page.get_by_role("menuitem", name="Dumps").click()
    rows = person.page.locator(".pgc-scroll tbody tr")
    expect(rows).to_have_count(9)
    return rows


def _see_that_it_is_undone(person: Person) -> None:
    _open_dumps(person)
    card = person.page.get_by_role("article")
    expect(card.get_by_text("The last restore was undone")).to_be_visible()
    expect(card.get_by_role("button", name="Undo…")).to_have_count(0)


def _see_that_a_damaged_dump_is_not_restored(person: Person, rows: Locator) -> None:
    rows.filter(has_text="Damaged").get_by_role("link").first.click()
    expect(person.page.get_by_role("button", name="Verify…")).to_be_visible()
    expect(person.page.get_by_role("button", name="Restore…")).to_have_count(0)


def _look_at_the_dumps(person: Person) -> None:
    _see_that_a_damaged_dump_is_not_restored(person, _open_dumps(person))
    rows = _open_dumps(person)
    expect(person.page.locator("figcaption")).to_contain_text("sizedamagedpartialduration")
    for word in ("Damaged", "Partial", "Not masked", "Verified by restore"):
        expect(rows.filter(has_text=word)).to_have_count(1)
    person.page.get_by_role("combobox").filter(has_text="Masked or not").select_option("no")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Not masked")
    _see_that_staging_does_not_take_it(person, rows)


def _see_that_staging_does_not_take_it(person: Person, rows: Locator) -> None:
    rows.get_by_role("link").first.click()
    person.page.get_by_role("button", name="Restore…").click()
    dialog = person.page.get_by_role("dialog")
    expect(dialog.get_by_text("The target takes only masked dumps.")).to_be_visible()
    expect(dialog.get_by_role("button", name=f"Restore over {shop.STAGING}")).to_be_disabled()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)


def _open_the_third_oldest(person: Person) -> dict[str, int]:
    """Return how many rows the dump's page says there are in two of its tables."""
    rows = _open_dumps(person)
    rows.nth(6).get_by_role("link").first.click()
    expect(person.page.get_by_role("heading", name="Masks")).to_be_visible()
    person.picture("dump")
    tables = person.page.locator(".pgc-bars tbody tr")
    counts = {}
    for name in ("orders", "users"):
        row = tables.filter(has=person.page.get_by_role("rowheader", name=name))
        found = re.search(r"([\d,]+) rows", row.inner_text())
        assert found is not None
        counts[name] = int(found[1].replace(",", ""))
    return counts


def _start(person: Person, button: str, confirmation: str) -> str:
    """Confirm a dialog of the page, and return the address of the run that it has started."""
    person.page.get_by_role("button", name=button).click()
    dialog = person.page.get_by_role("dialog")
    if button == "Restore…":
        expect(dialog.get_by_text("Holds now", exact=True)).to_be_visible()
        person.picture("restore", dialog)
    dialog.get_by_role("button", name=confirmation).click()
    dialog.get_by_role("link", name="Go to the run").click()
    person.page.wait_for_url("**/runs/**")
    return person.page.url


def _reject(person: Person) -> None:
    """Answer in the drawer of the run's page."""
    person.wait_for_question(person.page.url, "restore.approve")
    person.page.get_by_role("button", name="Required Action").click()
    drawer = person.page.get_by_role("dialog")
    expect(drawer).to_contain_text("Swap the restored database in?")
    drawer.get_by_role("button", name="Reject").click()
    expect(person.page.get_by_text("response successful").first).to_be_visible()


def _approve(person: Person, run: str, orders: str, *, picture: str | None = None) -> None:
    """Read the difference on the task's page, and approve it.

    :param orders: the rows of this table, before and after.
    """
    person.wait_for_question(run, "restore.approve")
    person.page.goto(f"{run}/tasks/restore.approve/required_actions")
    row = person.page.get_by_role("row").filter(has_text="public.orders")
    expect(row).to_contain_text(re.compile(orders.replace(" ", r"\s*")))
    if picture:
        person.picture(picture)
    person.page.get_by_role("button", name="Approve").click()
    expect(person.page.get_by_text("response successful").first).to_be_visible()


def _follow_the_link_to_the_dump(person: Person, run: str) -> None:
    person.page.goto(f"{run}/tasks/restore.swap/details")
    link = person.page.get_by_role("link", name="Dump", exact=True)
    expect(link).to_have_attribute("href", re.compile(r"/x/plugin/dumps\?dump=prod_masked"))
    person.page.goto(str(link.get_attribute("href")))
    expect(person.page.get_by_role("heading", name="Masks")).to_be_visible()


def _trigger(person: Person, **fields: str) -> str:
    """Fill Airflow's form, and return the address of the run."""
    person.open("dags/manual_restore")
    person.page.get_by_role("button", name="Trigger").first.click()
    form = person.page.get_by_role("dialog")
    for name, value in fields.items():
        form.locator(f"[name=element_{name}]").fill(value)
    form.get_by_role("button", name="Trigger").last.click()
    person.page.wait_for_url("**/runs/**")
    return person.page.url


def _see_it_refused(person: Person, database: str) -> None:
    run = _trigger(person, database=database)
    assert person.state_of_run(run) == "failed"
    person.page.goto(f"{run}/tasks/restore.pick")
    expect(
        person.page.get_by_text(f"database '{database}' may not be replaced").first
    ).to_be_visible()
    expect(person.page.get_by_text("It allows only shop_staging.").first).to_be_visible()


def _pick_from_the_list(person: Person) -> None:
    """Let the task ask which dump, and answer it; the swap is rejected."""
    run = _trigger(person)
    person.wait_for_question(run, "restore.pick")
    person.page.goto(f"{run}/tasks/restore.pick/required_actions")
    expect(person.page.get_by_text("Which dump?")).to_be_visible()
    person.page.get_by_role("combobox").last.click()
    dumps = person.page.get_by_role("option")
    expect(dumps).to_have_count(7)  # without the damaged one, and the one that is not masked
    person.picture("pick")
    dumps.filter(has_text="partial").click()
    person.page.get_by_role("button", name="Take this dump").click()
    expect(person.page.get_by_text("response successful").first).to_be_visible()
    person.page.goto(run)
    _reject(person)
    assert person.state_of_run(run) == "success"


def _test_a_connection(person: Person) -> None:
    person.open("connections")
    row = person.page.get_by_role("row").filter(has_text="staging")
    with person.page.expect_response("**/connections/test") as answer:
        row.get_by_role("button", name="Test Connection").click()
    assert answer.value.json()["status"] is True


def _turn_the_light_off(person: Person) -> None:
    _open_dumps(person)
    text, background = person.page.locator(".pgc").evaluate(_COLOURS)
    assert text < background - 300
    person.page.get_by_role("button", name="User").click()
    person.page.get_by_role("menuitem", name="Appearance").click()
    person.page.get_by_role("menuitemradio", name="Dark Mode").click()
    expect(person.page.locator("html.dark")).to_be_attached()
    text, background = person.page.locator(".pgc").evaluate(_COLOURS)
    assert text > background + 300
