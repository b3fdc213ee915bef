"""The words around and between the sentences of the planted crawl: menus, notices, spam, questions, addresses."""

from __future__ import annotations

from typing import NamedTuple


def _options(line: str) -> tuple[str, ...]:
    return tuple(line.split("|"))


class Furniture(NamedTuple):
    """What stands around the text on a site in one language."""

    menu: tuple[str, ...]
    cookies: str
    accept: str
    refuse: str
    more: str
    share: str
    related: str
    reply: str
    comments: tuple[str, ...]
    footer: str
    notices: tuple[str, ...]


FURNITURE = {
    "en": Furniture(
        ("Home", "News", "Region", "Culture", "Archive", "About us", "Contact", "Jobs", "Newsletter", "Log in"),
        "We use cookies so that this site works and to count its visitors.",
        "Accept all",
        "Only what is needed",
        "Read more",
        "Share this page",
        "You may also like",
        "Reply",
        ("Well said!", "I was there too, many years ago.", "Thanks for the article", "Is there a second part?"),
        "All rights reserved. Imprint, terms of use, privacy.",
        (
            "All times are local; please ask before you travel far.",
            "This article was first printed in our Saturday edition.",
            "Opinions in these columns belong to their authors alone.",
            "Our reporters pay for their own tickets and meals.",
        ),
    ),
    "de": Furniture(
        ("Startseite", "Aktuelles", "Region", "Kultur", "Archiv", "Über uns", "Kontakt", "Stellen", "Anmelden"),
        "Wir setzen Cookies ein, damit die Seite funktioniert und wir Besuche zählen können.",
        "Alle annehmen",
        "Nur notwendige",
        "Weiterlesen",
        "Seite teilen",
        "Das könnte Sie auch interessieren",
        "Antworten",
        ("Sehr schön gesagt!", "Da war ich auch schon.", "Danke für den Bericht", "Gibt es einen zweiten Teil?"),
        "Alle Rechte vorbehalten. Impressum, Nutzungsbedingungen, Datenschutz.",
        (
            "Alle Angaben sind ohne Gewähr; fragen Sie bitte vor der Anreise.",
            "Dieser Beitrag erschien zuerst in unserer Samstagsausgabe.",
        ),
    ),
    "fr": Furniture(
        ("Accueil", "Actualités", "Région", "Culture", "Archives", "À propos", "Contact", "Emplois", "Se connecter"),
        "Nous utilisons des cookies pour faire marcher le site et compter les visites.",
        "Tout accepter",
        "Le strict nécessaire",
        "Lire la suite",
        "Partager la page",
        "À lire aussi",
        "Répondre",
        ("Très bien dit !", "J'y étais aussi.", "Merci pour cet article", "Y aura-t-il une suite ?"),
        "Tous droits réservés. Mentions légales, conditions d'utilisation, vie privée.",
        (
            "Les horaires sont donnés à titre indicatif, merci de téléphoner avant de venir.",
            "Cet article a paru d'abord dans notre édition du samedi.",
        ),
    ),
    "es": Furniture(
        ("Inicio", "Actualidad", "Región", "Cultura", "Archivo", "Quiénes somos", "Contacto", "Empleo", "Entrar"),
        "Usamos cookies para que la página funcione y para contar las visitas.",
        "Aceptar todo",
        "Solo las necesarias",
        "Leer más",
        "Compartir la página",
        "También te puede interesar",
        "Responder",
        ("¡Muy bien dicho!", "Yo también estuve allí.", "Gracias por el artículo", "¿Habrá una segunda parte?"),
        "Todos los derechos reservados. Aviso legal, condiciones de uso, privacidad.",
        (
            "Los horarios son orientativos; conviene preguntar antes de salir.",
            "Este artículo se publicó primero en nuestra edición del sábado.",
        ),
    ),
    "it": Furniture(
        ("Pagina iniziale", "Notizie", "Regione", "Cultura", "Archivio", "Chi siamo", "Contatti", "Lavoro", "Accedi"),
        "Usiamo i cookie per far funzionare il sito e per contare le visite.",
        "Accetta tutto",
        "Solo il necessario",
        "Continua a leggere",
        "Condividi la pagina",
        "Ti potrebbe interessare",
        "Rispondi",
        ("Ben detto!", "Ci sono stato anch'io.", "Grazie per l'articolo", "Ci sarà una seconda parte?"),
        "Tutti i diritti riservati. Note legali, condizioni d'uso, riservatezza.",
        (
            "Gli orari sono indicativi; conviene telefonare prima di partire.",
            "Questo articolo è uscito prima nella nostra edizione del sabato.",
        ),
    ),
    "nl": Furniture(
        ("Voorpagina", "Nieuws", "Regio", "Cultuur", "Archief", "Over ons", "Contact", "Vacatures", "Aanmelden"),
        "Wij gebruiken cookies om de site te laten werken en bezoeken te tellen.",
        "Alles toestaan",
        "Alleen het nodige",
        "Lees verder",
        "Deel deze pagina",
        "Misschien ook iets voor u",
        "Antwoorden",
        ("Mooi gezegd!", "Daar ben ik ook geweest.", "Bedankt voor het artikel", "Komt er een tweede deel?"),
        "Alle rechten voorbehouden. Colofon, gebruiksvoorwaarden, privacy.",
        (
            "Alle tijden zijn bij benadering; vraag het na voordat u vertrekt.",
            "Dit artikel stond eerder in onze zaterdagkrant.",
        ),
    ),
}

# {email}, {phone} and {ip} are personal details; {name} is who they belong to.
DETAILS = {
    "en": (
        "Questions go to {name}, who answers at {email}.",
        "To book a seat, call {name} on {phone} or write to {email}.",
        "Please ring {phone} after six in the evening.",
        "The lost keys are with {name} (telephone {phone}).",
        "The log shows that a visitor from {ip} opened the form twice and left {email} as an address.",
        "A reader at {ip} wrote the comment shortly after midnight.",
        "Write to {email}, {email} or to {name}.",
    ),
    "de": (
        "Fragen beantwortet {name} unter {email}.",
        "Wer mitkommen will, ruft {name} unter {phone} an oder schreibt an {email}.",
        "Der Kommentar kam kurz nach Mitternacht von {ip}.",
    ),
    "fr": (
        "Pour toute question, écrivez à {name} : {email}.",
        "Les places se réservent auprès de {name} au {phone} ou par courriel ({email}).",
        "Le commentaire a été envoyé depuis {ip} peu après minuit.",
    ),
    "es": (
        "Las preguntas las contesta {name} en {email}.",
        "Para reservar, llame a {name} al {phone} o escriba a {email}.",
        "El comentario llegó desde {ip} poco después de medianoche.",
    ),
    "it": (
        "Alle domande risponde {name}, {email}.",
        "Per prenotare chiamate {name} al {phone} o scrivete a {email}.",
        "Il commento è arrivato da {ip} poco dopo mezzanotte.",
    ),
    "nl": (
        "Vragen beantwoordt {name} via {email}.",
        "Wie mee wil, belt {name} op {phone} of schrijft naar {email}.",
        "De reactie kwam kort na middernacht van {ip}.",
    ),
}

# What looks like a personal detail and is none.
LOOKALIKES = {
    "en": (
        "Version {version} of the program costs {price} euros, and so does version {version}.",
        "The manual takes {example} as the address of the server and {private} as that of the printer.",
        "The book (ISBN {isbn}) has {pages} pages and appeared on {date}.",
        "In the source it says @app.route, and further down rows@columns.T and user@decorator.",
        "Between {date} and {date} exactly {big} people crossed the bridge.",
        "Part {part} fits release {version}, and it weighs {price} grams.",
        "Section {section} explains why {invalid} can't be an address.",
        "They call themselves @{handle} and write deploy@localhost on every box.",
    ),
    "de": (
        "Die Fassung (Version {version}) kostet {price} Euro, das Handbuch mit der ISBN {isbn} nichts.",
        "Im Handbuch steht {example} für den Server und {private} für den Drucker.",
    ),
    "fr": (
        "La version {version} coûte {price} euros, et le manuel (ISBN {isbn}) ne coûte rien.",
        "Dans le manuel, {example} désigne le serveur et {private} l'imprimante.",
    ),
    "es": (
        "La versión {version} cuesta {price} euros, y el manual (ISBN {isbn}) es gratuito.",
        "En el manual, {example} es el servidor y {private} la impresora.",
    ),
    "it": (
        "La versione {version} costa {price} euro, il manuale (ISBN {isbn}) è gratuito.",
        "Nel manuale {example} indica il server e {private} la stampante.",
    ),
    "nl": (
        "De uitgave (versie {version}) kost {price} euro, de handleiding met ISBN {isbn} is gratis.",
        "In de handleiding staat {example} voor de server en {private} voor de printer.",
    ),
}

# A question and the same question in other words; {a} > {b} + {c}, all three at least 2.
QUESTIONS = (
    (
        "A baker takes {a} loaves out of the oven, sells {b} before noon and gives {c} to the neighbours; how many "
        "loaves are still lying on the shelf?",
        "Out of {a} fresh loaves a bakery finds buyers for {b} in the morning and makes a present of another {c}. "
        "Work out what remains.",
    ),
    (
        "Nora reads {b} pages of her novel every evening and {c} more on Sunday morning; how many pages has she read "
        "once {a} weeks are over?",
        "Each night Nora gets through {b} pages, plus another {c} on Sundays before lunch. Find the total after {a} "
        "weeks.",
    ),
    (
        "A train with {a} passengers stops twice: first {b} people get off, then {c} get on; with how many "
        "passengers does it arrive at the coast?",
        "{a} travellers sit in a train. At one halt it loses {b} of them, at the next it gains {c}. Count the heads "
        "at the terminus.",
    ),
    (
        "If a gardener plants {b} rows of tulips with {c} bulbs in each row, and {a} bulbs never flower, what number "
        "of tulips will there be in May?",
        "Somebody sets out tulip bulbs, {c} to a row and {b} rows long, but {a} of them fail. Tell the number of "
        "flowers.",
    ),
    (
        "The tank on the roof holds {a} litres of water and loses {b} litres an hour through a crack; what is left "
        "in it after {c} hours have gone by?",
        "Water leaks from a cistern at {b} litres hourly. It started with {a} litres. State its content {c} hours "
        "later.",
    ),
    (
        "Three sisters share {a} walnuts equally after the squirrel has carried off {b} of them and their uncle {c}; "
        "how large is the share of the eldest?",
        "From {a} walnuts a squirrel takes {b} and an uncle {c}; three girls divide the rest fairly. Give one girl's "
        "part.",
    ),
    (
        "A ferry needs {b} minutes to cross the lake and {c} minutes to turn round on each side; how often can it "
        "cross in the course of {a} minutes?",
        "Crossing takes a boat {b} minutes, turning {c} more. Determine the trips that fit into {a} minutes.",
    ),
    (
        "In a choir of {a} singers there are {b} sopranos and {c} altos, and everyone else sings bass; how many "
        "voices are there in the bass section?",
        "{a} people sing together. {b} of them are sopranos, {c} altos, the remainder basses. Compute the basses.",
    ),
    (
        "The clock in the tower gains {b} seconds every day; by how many seconds is it wrong when {a} days and then "
        "{c} more days have passed?",
        "A tower clock runs fast, {b} seconds daily. Say how far off it is after {a} plus {c} days.",
    ),
    (
        "On the first day a hiker walks {b} kilometres and on the second {c}; the whole path is {a} kilometres long, "
        "so how far is it to the hut?",
        "A path measures {a} kilometres. Someone does {b} of them, sleeps, and does {c}. Express the distance that "
        "remains.",
    ),
    (
        "A library lends {a} books in one week, of which {b} come back too late and {c} not at all; how many were "
        "returned on the right day?",
        "{a} volumes are borrowed; {c} vanish for good and {b} are overdue. Name the number that came home in time.",
    ),
    (
        "For one cake Simon needs {b} eggs and for the glaze {c} spoons of sugar; how many eggs must he buy if he "
        "wants to bake {a} cakes?",
        "Simon's recipe asks for {b} eggs a cake and {c} spoons of sugar on top. Calculate the eggs for {a} cakes.",
    ),
    (
        "A shepherd counts {a} sheep on the hill, {b} fewer behind the fence and {c} lambs in the barn; how many "
        "animals does he look after in all?",
        "There are {a} sheep on a slope, a flock smaller by {b} in an enclosure, and {c} lambs indoors. Add them up.",
    ),
    (
        "The lift carries {b} people at a time and each ride lasts {c} seconds; how long must a group of {a} people "
        "wait until all are upstairs?",
        "With room for {b} and {c} seconds a ride, a lift takes {a} persons to the top. Find out the time this needs.",
    ),
    (
        "Ruth pays {a} coins for a lamp, a chair and a mirror; the lamp costs {b} coins and the chair {c}, so what "
        "does the mirror cost?",
        "A mirror, a {c}-coin chair and a lamp for {b} coins come to {a} coins together. Deduce the mirror's price.",
    ),
    (
        "From a rope of {a} metres a sailor cuts {b} pieces that are {c} decimetres long; how many metres of the "
        "rope does he have left?",
        "A sailor shortens his {a}-metre rope by {b} bits of {c} decimetres. Report the length that stays.",
    ),
    (
        "Every hour {b} cars and {c} bicycles cross the narrow bridge; how many wheels roll over it during a market "
        "day of {a} hours?",
        "A bridge sees {c} bicycles and {b} cars hourly. Sum up all wheels across {a} hours of trade.",
    ),
    (
        "A printer spoils {b} of every {a} sheets; how many good sheets does the workshop hold at the end, if it "
        "started with {c} full boxes of {a}?",
        "{b} sheets in {a} go wrong in a press. Take {c} boxes with {a} sheets each and determine the good ones.",
    ),
    (
        "At low tide the pier stands {a} centimetres above the sea; the water rises {b} centimetres in the first "
        "hour and {c} in the second, so how high is it then?",
        "A jetty is {a} centimetres over the waves. They climb by {b}, then by {c}. Figure out the gap.",
    ),
    (
        "Daniel saves {b} coins a week while his brother saves {c}; after how many weeks do the two of them own {a} "
        "coins between them?",
        "Two brothers put aside {b} and {c} coins weekly. Establish when their savings reach {a}.",
    ),
    (
        "A theatre has {a} seats; {b} rows of {c} seats are closed for repairs, so how many people can watch the "
        "play on Friday night?",
        "In a house with {a} places, workmen block {b} rows, each {c} wide. Indicate the largest audience.",
    ),
    (
        "Of the {a} pears in a basket {b} are green and {c} are bruised, and no pear is both; how many pears are "
        "neither green nor bruised?",
        "A basket contains {a} pears, {c} with bruises, {b} unripe, none with both faults. Identify the number of "
        "good ones.",
    ),
    (
        "The postwoman climbs {b} steps to each of {c} flats and comes down again; how many steps has she taken, if "
        "{a} steps lead back to the street?",
        "Up and down {b} stairs, {c} times over, then {a} stairs to the road: what does a postwoman's day add up to?",
    ),
    (
        "If a snail creeps {b} centimetres up the wall by day and slips back {c} by night, on which day does it "
        "first pass a mark at {a} centimetres?",
        "A wall has a mark {a} centimetres up. A snail gains {b} daily and loses {c} nightly. Predict its arrival.",
    ),
)

PRODUCTS = _options(
    "watches|printer ink|phone cases|garden chairs|running shoes|office lamps|rain jackets|coffee machines|sunglasses"
    "|mattresses|wall paint|headphones|car tyres|bicycle locks|kitchen knives|picture frames|desk chairs|wool socks"
    "|leather belts|camping tents|pillow covers|electric kettles|door mats|batteries|vacuum bags|toy trains|travel bags"
    "|yoga mats|fishing rods|flower pots"
)
PRAISE = _options(
    "cheap|best|discount|original|amazing|exclusive|top|genuine|hot|unbelievable|fantastic|low price|premium"
    "|factory new|limited|number one|crazy|super|guaranteed|wholesale|free shipping|last chance|bargain|exciting"
    "|ultimate"
)
CALLS = _options(
    "BUY NOW|ORDER TODAY|CLICK HERE|ACT FAST|DON'T WAIT|SAVE BIG|CALL FREE|JOIN US|SIGN UP|GRAB YOURS|SHOP NOW|HURRY UP"
    "|LAST HOURS|WIN MORE|PAY LESS|COME IN"
)
SHOPS = ("cheap-deals", "best-price", "mega-offer", "top-bargain", "discount-world", "super-sale")
PLACES = _options(
    "harbour|millpond|northgate|riverside|stonebridge|lindenhof|bellevue|clocktower|orchard|lighthouse|oldtown"
    "|greenhill|marketplace|seaview|woodland|bluewater"
)
PAPERS = _options("gazette|courier|notes|journal|chronicle|letters|weekly|almanac|observer|review")

LOREM = _options(
    "dolor|sit|amet|consectetur|adipiscing|elit|sed|do|eiusmod|tempor|incididunt|ut|labore|et|dolore|magna|aliqua|"
    "enim|ad|minim|veniam|quis|nostrud|exercitation|ullamco|laboris|nisi|aliquip|ex|ea|commodo|consequat|duis|aute|"
    "irure|in|reprehenderit|voluptate|velit|esse|cillum|eu|fugiat|nulla|pariatur|excepteur|sint|occaecat|cupidatat|"
    "non|proident|sunt|culpa|qui|officia|deserunt|mollit|anim|id|est|laborum"
)
PLACEHOLDERS = (
    "Your headline goes here",
    "This is a sample page, replace it with your own words.",
    "Insert text here",
    "Please enable JavaScript in your browser to see this page.",
    "JavaScript must be enabled to use all functions.",
    "Untitled document",
    "Image caption, to be written",
    "Lorem ipsum",
)

CODE = (
    (
        "function {f}({x}) {{",
        "  const {y} = {x}.filter((row) => row.{z} > {n});",
        "  if ({y}.length === 0) {{ return null; }}",
        "  return {y}[0].{z} * {m};",
        "}}",
    ),
    (
        "@app.route('/{f}/<int:{x}>')",
        "def {f}({x}: int) -> dict[str, int]:",
        "    {y} = weights@{x}.T + {n}",
        "    return {{'{z}': {y}[{m}], 'total': sum({y})}}",
    ),
    (
        "static int {f}(const int *{x}, size_t {y}) {{",
        "    int {z} = {n};",
        "    for (size_t i = 0; i < {y}; i++) {{ {z} += {x}[i] & 0x{m}f; }}",
        "    return {z};",
        "}}",
    ),
    (
        "# server {example}, release {version}",
        "curl -s http://{private}:{n}/{f} | grep {x} > /tmp/{y}.txt",
        "test -s /tmp/{y}.txt && echo {z}@localhost {m}",
    ),
)
IDENTIFIERS = _options(
    "count|total|index|left|right|first_row|items|price|height|offset|cache|buffer|pending|window|queue|matrix|column"
    "|label|speed|depth"
)
