"""Which names of columns look personal."""

import pytest

from airflow_provider_pgclone.core.catalog.tables import Kind
from airflow_provider_pgclone.core.masking.discovery.column_names import signature_of, words
from airflow_provider_pgclone.core.masking.discovery.contents import CONTENTS
from airflow_provider_pgclone.core.masking.discovery.vocabulary import SIGNATURES
from airflow_provider_pgclone.core.masking.rules.language import PARAMETERS


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("first_name", ["first", "name"]),
        ("firstName", ["first", "name"]),
        ("First Name", ["first", "name"]),
        ("FIRST_NAME", ["first", "name"]),
        ("IPAddress", ["ip", "address"]),
        ("userID", ["user", "id"]),
        ("phone2", ["phone", "2"]),
        ("Straße", ["strasse"]),
        ("prénom", ["prenom"]),
        ("Führerschein", ["fuehrerschein"]),
        ("Nationalita\u0308t", ["nationalitaet"]),
        ("Téléphone", ["telephone"]),
        ("", []),
        ("имя", ["имя"]),
    ],
)
def test_a_name_falls_into_its_words(name: str, parts: list[str]) -> None:
    assert words(name) == parts


@pytest.mark.parametrize(
    ("column", "rule"),
    [
        *((name, "email") for name in ("email", "e_mail", "eMail", "EMAIL", "userEmail")),
        *((name, "email") for name in ("useremail", "emails", "Mailadresse", "correo", "email2")),
        *((name, "email") for name in ("contact e-mail", "courriel", "email_id")),
        *((name, "phone") for name in ("phone", "phoneNumber", "mobile", "fax", "workphone")),
        *((name, "phone") for name in ("Telefon", "handy", "téléphone", "movil", "tel")),
        *((name, "first_name") for name in ("first_name", "firstname", "FirstName", "Vorname")),
        *((name, "first_name") for name in ("prénom", "given_names", "middle name")),
        *((name, "last_name") for name in ("lastname", "surname", "Nachname", "apellido")),
        *((name, "last_name") for name in ("nom_de_famille", "maidenName", "apellidos")),
        *((name, "name") for name in ("full_name", "displayName", "customer_name", "cardholder")),
        *((name, "hash") for name in ("username", "user_name", "login", "Benutzername")),
        *((name, "address") for name in ("address", "street_1", "addressLine2", "Straße", "rue")),
        *((name, "city") for name in ("city", "Wohnort", "ville", "ciudad", "town")),
        *((name, "digits") for name in ("zip", "zip_code", "postalCode", "PLZ", "codigo_postal")),
        *((name, "digits") for name in ("ssn", "taxId", "passport_no", "Steuernummer", "dni")),
        *((name, "digits") for name in ("Führerschein", "Sécurité sociale")),
        *((name, "digits") for name in ("iban", "account_number", "creditCard", "Kontonummer")),
        *((name, "ip") for name in ("ip", "ip_address", "last_ip", "remoteAddr", "ipv4")),
        *((name, "null") for name in ("user_agent", "password", "api_key", "accessToken")),
        *((name, "null") for name in ("passwort", "mot_de_passe", "pin", "resetToken", "session")),
        *(
            (name, "null")
            for name in ("latitude", "lng", "geo", "gender", "Geschlecht", "religion")
        ),
        *((name, "null") for name in ("avatar", "photo_url", "profilePicture", "marital_status")),
        *((name, "date_shift") for name in ("birth_date", "dob", "Geburtsdatum", "birthday")),
        *((name, "noise") for name in ("salary", "Gehalt", "income", "sueldo")),
        *((name, "text") for name in ("notes", "comment", "bio", "Bemerkung", "internal_notes")),
        *((name, "url") for name in ("website", "linkedin_url", "homepage")),
        *((name, "hash") for name in ("device_id", "imei", "macAddress", "advertisingId")),
        *((name, "digits") for name in ("kunden_nr", "patientNo", "tax_num", "employee_id")),
        *((name, "name") for name in ("ship_to", "contact", "primary_contact")),
        *((name, "company") for name in ("company", "employer", "Firma")),
    ],
)
def test_a_personal_name_is_known_with_its_rule(column: str, rule: str) -> None:
    found = signature_of("things", column, "text")
    assert found is not None
    assert found.rules[0] == rule


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        *((name, "text") for name in ("sku", "currency", "color", "unit", "name", "title", "slug")),
        *((name, "text") for name in ("email_type", "phone_format", "messages_total", "zipper")),
        *((name, "text") for name in ("language", "shipping_method", "portage", "barcode", "")),
        *((name, "integer") for name in ("id", "user_id", "email_id", "address_id", "quantity")),
        ("email_verified_at", "timestamptz"),
        ("email_verified", "boolean"),
        ("created_at", "timestamptz"),
        ("ordered_on", "date"),
        ("address_id", "uuid"),
        ("total", "number"),
    ],
)
def test_other_names_are_left_alone(column: str, kind: Kind) -> None:
    assert signature_of("things", column, kind) is None


@pytest.mark.parametrize("table", ["users", "Customers", "app_user", "UserProfile", "Mitarbeiter"])
def test_a_bare_name_is_a_persons_in_a_table_of_persons(table: str) -> None:
    found = signature_of(table, "name", "text")
    assert found is not None
    assert found.rules[0] == "name"


@pytest.mark.parametrize("table", ["products", "countries", "tags", "useful"])
def test_a_bare_name_in_another_table_is_none(table: str) -> None:
    assert signature_of(table, "name", "text") is None


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("birth_date", "date"),
        ("age", "integer"),
        ("phone", "integer"),
        ("latitude", "number"),
        ("salary", "number"),
        ("tax_id", "integer"),
        ("device_id", "uuid"),
        ("reset_token", "uuid"),
        ("client_ip", "inet"),
        ("gender", "enum"),
        ("pregnant", "boolean"),
        ("photo", "bytea"),
        ("address", "json"),
    ],
)
def test_what_is_no_text_may_be_personal_as_well(column: str, kind: Kind) -> None:
    assert signature_of("things", column, kind) is not None


def test_every_rule_of_the_lists_is_one_that_there_is() -> None:
    declared = [one.rules for one in SIGNATURES] + [one.rules for one in CONTENTS]
    named = {rule for rules in declared for rule in rules}
    assert named
    assert named <= set(PARAMETERS)
