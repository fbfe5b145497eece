"""Words in the names of columns that suggest personal data.

The lists are wide on purpose: a column too many costs a look, a column too few is a leak.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from airflow_provider_pgclone.core.catalog import Kind

_TEXTS: tuple[Kind, ...] = ("text", "json", "bytea", "other")
_NUMBERS: tuple[Kind, ...] = ("integer", "number")
_TIMES: tuple[Kind, ...] = ("date", "timestamp", "timestamptz")
# The spellings of the word "number".
_NUMBER = "(?:number|nummer|numero|num|nbr|nr|no)"
# A name that ends in one of these is about something else: email_type is not an address.
ABOUT_SOMETHING = (
    "type kind status count total verified confirmed enabled valid format template language locale "
    "length"
)
PEOPLE = (
    "account admin adult agent applicant attendee author beneficiary buyer candidate child citizen "
    "client colleague contact customer doctor donor driver employee follower friend guest human "
    "individual lead learner manager member nurse operator owner parent participant passenger "
    "patient people person player profile recipient resident seller sender shopper signatory "
    "speaker spouse staff student subscriber teacher tenant traveller user vendor visitor voter "
    "worker benutzer kunde mitarbeiter mitglied nutzer patienten personen personal schueler "
    "abonne adherent employe personne salarie utilisateur "
    "cliente contacto empleado paciente persona usuario"
)


@dataclass(frozen=True)
class Signature:
    """One kind of personal data, as names of columns suggest it.

    :param what: its name, in the plural.
    :param rules: the rules that mask it, the best first.
    :param terms: separated by commas, each one or more words of a column's name, joined or not;
        a term with ``*`` is also found within other words.
    :param kinds: the kinds of columns that may hold it.
    """

    what: str
    rules: tuple[str, ...]
    terms: str
    kinds: tuple[Kind, ...] = _TEXTS

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        terms = sorted((term.strip() for term in self.terms.split(",")), key=len, reverse=True)
        apart = "|".join("_?".join(term.split()) for term in terms if not term.startswith("*"))
        within = "|".join("_?".join(term[1:]) for term in terms if term.startswith("*"))
        apart = apart.replace("number", _NUMBER)
        whole = rf"_(?P<term>{apart or '(?!)'})(?:s|es|n|en)?_"
        return re.compile(f"{whole}|{within}" if within else whole)

    @property
    def compact_terms(self) -> list[str]:
        """The terms with their words joined."""
        return re.sub(r"[\s*]", "", self.terms).split(",")

    @property
    def terms_within(self) -> list[str]:
        """The terms that are found within other words."""
        return re.findall(r"\*(\w+)", self.terms)


_NAME_OF_PERSON = "nom, nombre, " + ", ".join(f"{word} name" for word in PEOPLE.split())

# The first one that matches counts.
SIGNATURES: tuple[Signature, ...] = (
    Signature(
        "passwords, tokens or other secrets",
        ("null", "hash", "uuid", "text"),
        "*password, *passwd, *passphrase, *token, *secret, *credential, *apikey, *privatekey, "
        "pwd, pass, pw, csrf, xsrf, extra, api key, access key, encryption key, auth key, key "
        "hash, salt, otp, totp, "
        "mfa, two factor, recovery code, backup code, pin, pin code, security answer, "
        "security question, session, session key, session id, session data, cookie, refresh, jwt, "
        "bearer, oauth, o auth, reset key, activation key, confirmation code, verification code, "
        "invite code, signature, ssh key, public key, certificate, passwort, kennwort, geheimnis, "
        "mot de passe, mdp, jeton, contrasena, clave, secreto",
        (*_TEXTS, "uuid", "integer"),
    ),
    Signature(
        "e-mail addresses",
        ("email", "hash", "text"),
        "*email, mail, mail address, mail to, mailto, mailadresse, courriel, correo, "
        "correo electronico, reply to, cc, bcc",
    ),
    Signature(
        "device ids",
        ("hash", "uuid", "text"),
        "device, device id, device uid, device identifier, imei, imsi, idfa, idfv, gaid, adid, "
        "advertising id, mac, mac address, mac addr, serial number, udid, android id, installation "
        "id, push, visitor id, fingerprint, tracking id, browser id, anonymous id, geraete id",
        (*_TEXTS, "uuid", "integer"),
    ),
    Signature(
        "IP addresses",
        ("ip", "digits", "hash", "text"),
        "*ipaddress, *ipaddr, ip, ipv, remote addr, remote address, remote host, client host, "
        "forwarded for, host address, ip adresse, adresse ip, direccion ip",
        (*_TEXTS, "inet", "integer"),
    ),
    Signature(
        "user agents",
        ("null", "text"),
        "*useragent, browser, ua, ua string, agent string, navegador, navigateur",
    ),
    Signature(
        "bank accounts or cards",
        ("digits", "hash", "text"),
        "*iban, *creditcard, *cardnumber, *accountnumber, bic, swift, account no, account nr, "
        "bank account, bank code, card no, debit card, pan, card, cc number, cvv, cvc, card exp, "
        "last four, last 4, routing number, sort code, blz, konto, kontonummer, bankverbindung, "
        "kreditkarte, compte bancaire, numero de compte, carte bancaire, carte, rib, cuenta, "
        "cuenta bancaria, numero de cuenta, tarjeta, clabe",
        (*_TEXTS, *_NUMBERS),
    ),
    Signature(
        "national, tax or other ids of persons",
        ("digits", "hash", "text"),
        "*passport, *socialsecurity, *nationalid, ssn, sin, national identifier, nin, nino, "
        "national insurance, tax id, tax number, tax no, tin, itin, ein, vat id, vat number, "
        "identity number, identity card, id card, id number, id document, document number, "
        "driver license, drivers license, driving licence, driving license, license number, "
        "licence number, license plate, number plate, plate number, vin, medical record, "
        "medical record number, mrn, insurance number, insurance id, policy number, nhs number, "
        "patient number, patient id, employee number, personnel number, student number, "
        "customer number, member number, steuernummer, steuer id, steuer identifikationsnummer, "
        "sozialversicherungsnummer, versicherungsnummer, reisepass, personalausweis, ausweis, "
        "ausweisnummer, fuehrerschein, kennzeichen, personalnummer, kundennummer, "
        "dni, nie, nif, cif, cpf, curp, aadhaar, pesel, bsn, personnummer, svnr, ahv, insee, nir, "
        "numero securite sociale, securite sociale, passeport, pasaporte, seguridad social, "
        "matricula, personal id, employee id, staff id, nss, kunden number, versicherten number",
        (*_TEXTS, *_NUMBERS),
    ),
    Signature(
        "phone numbers",
        ("phone", "hash", "text"),
        "*phone, *whatsapp, tel, telefon, telefono, telefax, telefonnummer, mobile, mobile number, "
        "mobil, mobilnummer, movil, cell, cellular, fax, faxnumber, handy, handynummer, rufnummer, "
        "portable, celular, handy number, telefon number, msisdn, gsm, sms, contact number, dial",
        (*_TEXTS, *_NUMBERS),
    ),
    Signature(
        "profiles or websites of persons",
        ("url", "text"),
        "website, web site, homepage, home page, blog, profile url, profile link, linkedin url, "
        "facebook url, twitter url, github url, referrer, referer, personal url, webseite, "
        "sitio web, site web",
    ),
    Signature(
        "user names or accounts elsewhere",
        ("hash", "text"),
        "*username, *userlogin, *loginname, login, logon, user handle, handle, nick, nick name, "
        "screen name, account name, benutzername, benutzer, anmeldename, nutzername, identifiant, "
        "nom utilisateur, pseudo, usuario, nombre usuario, twitter, skype, telegram, slack, "
        "discord, instagram, facebook, linkedin, github, google id, apple id, stripe id, "
        "stripe customer id, external user id, oauth uid, uid, sub, created by, updated by, "
        "modified by, changed by, deleted by, submitted by, approved by, assigned to, assignee, "
        "owner, user, user key",
    ),
    Signature(
        "first names",
        ("first_name", "text"),
        "given, *firstname, *givenname, *forename, *middlename, fname, christian name, vorname, "
        "rufname, "
        "prenom, nombre de pila, primer nombre, segundo nombre, initials",
    ),
    Signature(
        "last names",
        ("last_name", "text"),
        "*lastname, *surname, *familyname, lname, maiden name, birth name, nachname, familienname, "
        "zuname, geburtsname, nom de famille, nom famille, nom naissance, apellido, primer "
        "apellido, segundo apellido",
    ),
    Signature(
        "names of persons",
        ("name", "text"),
        "*fullname, *realname, *displayname, *legalname, preferred name, cardholder, card holder, "
        "cardholder name, account holder, holder name, billing name, shipping name, signer, "
        "signed by, emergency contact, next of kin, mother, father, mother name, father name, "
        "kontoinhaber, inhaber, ansprechpartner, ansprechpartnerin, nom complet, nombre completo, "
        "contact, primary contact, ship to, bill to, titulaire, titular, sender, recipient, "
        + _NAME_OF_PERSON,
    ),
    Signature(
        "names of companies",
        ("company", "text"),
        "company, company name, employer, employer name, business name, organization name, "
        "organisation name, firma, firmenname, arbeitgeber, entreprise, employeur, empresa, "
        "razon social",
    ),
    Signature(
        "pictures or biometric data",
        ("null", "url", "hash", "text"),
        "*avatar, *photo, *selfie, picture, portrait, headshot, profile image, user image, "
        "signature image, biometric, face, face id, face encoding, voice, voiceprint, retina, "
        "foto, passfoto, unterschrift",
    ),
    Signature(
        "dates of birth or death, or ages",
        ("date_shift", "noise", "digits", "text"),
        "*birth, dob, born, born on, born at, bday, age, death date, date of death, died, died on, "
        "deceased, deceased on, geburtsdatum, geburtstag, geboren, geburtsjahr, alter, todesdatum, "
        "geb datum, geb, naissance, date naissance, ne le, deces, nacimiento, fecha nacimiento, "
        "edad",
        (*_TEXTS, *_NUMBERS, *_TIMES),
    ),
    Signature(
        "postal codes",
        ("digits", "hash", "text"),
        "*zipcode, *postalcode, *postcode, postal, zip, post code, plz, postleitzahl, code postal, "
        "codigo postal",
        (*_TEXTS, "integer"),
    ),
    Signature(
        "cities or places",
        ("city", "text"),
        "city, town, municipality, village, suburb, hometown, place of birth, place, ort, stadt, "
        "wohnort, geburtsort, gemeinde, ville, commune, lieu, ciudad, localidad, poblacion, "
        "municipio",
    ),
    Signature(
        "postal addresses",
        ("address", "text"),
        "*address, *adresse, *street, *strasse, addr, address line, road, house number, haus "
        "number, "
        "apartment, apt, po box, building, anschrift, hausnummer, postfach, rue, domicile, "
        "domicilio, direccion, calle, numero de rue",
        (*_TEXTS, "integer"),
    ),
    Signature(
        "positions on the map",
        ("null", "noise", "text"),
        "*latitude, *longitude, *geolocation, lat, lng, lon, long, lat lng, lat lon, geo, geom, "
        "geometry, geography, geohash, location, coordinates, coords, coordinate, gps, standort, "
        "breitengrad, laengengrad, position gps, ubicacion, latitud, longitud",
        (*_TEXTS, "number"),
    ),
    Signature(
        "sensitive traits",
        ("null", "text"),
        "gender, sex, marital status, civil status, religion, ethnicity, ethnic group, race, "
        "nationality, citizenship, sexual orientation, orientation, political, party membership, "
        "blood type, blood group, diagnosis, disability, disabled, disease, medical, health, "
        "allergy, allergie, medication, pregnant, smoker, criminal, criminal record, salutation, "
        "pronoun, honorific, job title, occupation, profession, beruf, employment status, "
        "geschlecht, familienstand, konfession, staatsangehoerigkeit, "
        "nationalitaet, anrede, krankheit, schwanger, behinderung, sexe, civilite, nationalite, "
        "genero, sexo, estado civil, nacionalidad, discapacidad",
        (*_TEXTS, "boolean", "enum", "integer"),
    ),
    Signature(
        "income or what else is known of someone's money",
        ("noise", "null", "text"),
        "*salary, wage, income, compensation, bonus, pay rate, hourly rate, net worth, "
        "credit score, credit limit, credit rating, gehalt, lohn, einkommen, bonitaet, salaire, "
        "revenu, salario, sueldo, ingreso",
        (*_TEXTS, *_NUMBERS),
    ),
    Signature(
        "free text, in which anything may be",
        ("text",),
        "*note, *comment, *remark, bio, biography, about, about me, message, msg, body, content, "
        "feedback, review, memo, free text, text, transcript, chat, summary, answer, response, "
        "reply, question, reason, explanation, cover letter, resume, cv, interest, hobby, "
        "complaint, subject, attachment, description, payload, raw, request, bemerkung, notiz, "
        "kommentar, anmerkung, nachricht, beschreibung, lebenslauf, freitext, begruendung, "
        "remarque, commentaire, observacion, observaciones, comentario, nota, mensaje, descripcion",
    ),
)
