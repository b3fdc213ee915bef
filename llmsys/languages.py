"""Made-up sentences in six languages, from one small grammar each: different words, right spelling, no meaning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Field(NamedTuple):
    """What is done, and what it is done to: every verb goes with every thing."""

    verbs: tuple[str, ...]
    things: tuple[tuple[str, str], ...]  # (as subject, as object)


class Grammar(NamedTuple):
    """One language.

    The patterns' slots: `{A}`, `{B}` who; `{v} {o}` and `{w} {p}` a verb and its object, from one field each; `{s}` a
    thing as subject; `{a}`, `{b}` what it is; `{x}`, `{y}` where; `{t}` when; `{h}` how; `{n}` a number; `{year}`.
    """

    people: tuple[str, ...]
    given: tuple[str, ...]
    surnames: tuple[str, ...]
    fields: tuple[Field, ...]
    where: tuple[str, ...]
    when: tuple[str, ...]
    how: tuple[str, ...]
    being: tuple[str, ...]
    patterns: tuple[str, ...]


def pick(random: Random, options: Sequence[T]) -> T:
    """One of the options, the same on every Python: only random() is promised to stay as it is."""
    return options[int(random.random() * len(options))]


def draw(random: Random, limit: int) -> int:
    """An integer from 0 to `limit` - 1."""
    return int(random.random() * limit)


def integer(random: Random, low: int, high: int) -> int:
    """An integer from `low` to `high`, both of them included."""
    return low + int(random.random() * (high - low + 1))


def shuffled(random: Random, items: Iterable[T]) -> list[T]:
    """The items in another order."""
    return [item for _, item in sorted(((random.random(), item) for item in items), key=lambda pair: pair[0])]


def name(random: Random, language: str) -> tuple[str, str]:
    """The given name and the surname of somebody who does not exist."""
    grammar = GRAMMARS[language]
    return pick(random, grammar.given), pick(random, grammar.surnames)


def sentence(random: Random, language: str) -> str:
    """One sentence, as a reader of the language would let it pass."""
    g = GRAMMARS[language]
    first, second = pick(random, g.fields), pick(random, g.fields)
    who = [" ".join(name(random, language)) if random.random() < 0.3 else pick(random, g.people) for _ in "AB"]
    said = pick(random, g.patterns).format(
        A=who[0],
        B=who[1],
        v=pick(random, first.verbs),
        o=pick(random, first.things)[1],
        w=pick(random, second.verbs),
        p=pick(random, second.things)[1],
        s=pick(random, pick(random, g.fields).things)[0],
        a=pick(random, g.being),
        b=pick(random, g.being),
        x=pick(random, g.where),
        y=pick(random, g.where),
        t=pick(random, g.when),
        h=pick(random, g.how),
        n=3 + int(random.random() * 95),
        year=1650 + int(random.random() * 350),
    )
    return said[0].upper() + said[1:]


def _grammar(
    *, people: str, given: str, surnames: str, fields: str, where: str, when: str, how: str, being: str, patterns: str
) -> Grammar:
    """A grammar from lists with | between the words; a field is a line `verbs : things`, a thing `subject/object`."""

    def words(line: str) -> tuple[str, ...]:
        return tuple(" ".join(word.split()) for word in line.split("|"))

    def field(line: str) -> Field:
        verbs, things = line.split(":")
        return Field(words(verbs), tuple((*thing.split("/"), thing)[:2] for thing in words(things)))  # type: ignore[misc]

    return Grammar(
        words(people),
        tuple(given.split()),
        tuple(surnames.split()),
        tuple(field(line) for line in fields.split(";")),
        words(where),
        words(when),
        words(how),
        words(being),
        tuple(" ".join(line.split()) for line in patterns.strip().split("\n")),
    )


ENGLISH = _grammar(
    people="""the baker|the young engineer|the retired teacher|the ferryman|the librarian|the night watchman|the mayor
        |the apprentice|the beekeeper|the geologist|the nurse|the carpenter|the choir leader|the shepherd|a tram driver
        |the painter|the miller|a neighbour|the student|the archivist|the gardener|a clockmaker|the fisherman
        |the innkeeper|the astronomer|the tailor|the village doctor|a lighthouse keeper|the bookbinder|a travelling
        merchant|the surveyor|the stonemason""",
    given="Clara Martin Helen Peter Ruth Daniel Judith Simon Nora Victor Alice Edmund Grace Oliver",
    surnames="Marlow Whitcombe Hartley Penrose Aldridge Fenwick Lockwood Thorne Bexley Carrow Winslade Ormerod",
    fields="""repairs|paints|measures|inspects|draws|cleans|restores:the stone bridge|the wooden roof
        |the round tower|the mill wheel|the town wall|the narrow stair|the iron gate|the fishing boat
        |the station clock|the deep well|the garden fence;
        reads|copies|translates|corrects|prints|hides|quotes:the long letter|the travel diary|a cookbook
        |the school report|the first act|the harvest song|the contract|yesterday's newspaper|the dictionary
        |a fairy tale|the logbook;
        plants|waters|harvests|sells|weighs|protects:the winter wheat|the young pear tree|a row of beans
        |the red cabbage|the vineyard|the lavender|the cherry tree|a field of barley|the pumpkin|the sage
        |the blackcurrant bush;
        prepares|tastes|serves|praises|orders|brings:the onion soup|the rye bread|a fish stew|the plum cake
        |the goat cheese|the mushroom pie|the apple juice|the roast potatoes and the salad|the honey
        |a pot of tea|the barley broth;
        watches|describes|photographs|studies|sketches|remembers:the new moon|the comet|the slow river
        |the thunderstorm|the glacier|the swarm of bees|the spring tide|the distant volcano|the morning fog
        |the solar eclipse|the flock of geese;
        tunes|plays|buys|polishes|borrows|admires:the violin|the church organ|a wooden flute|the cello
        |the brass horn|the small drum|the harp|the piano in the hall|a mandolin|the oboe|the accordion;
        starts|stops|tests|improves|explains|lubricates:the steam engine|the water pump|the loom
        |the printing press|the sewing machine|the grain elevator|the harbour crane|the lift|the generator
        |the cider press|the sawmill""",
    where="""near the station|behind the church|at the harbour|beside the canal|in the old town
        |under the lime trees|on the north shore|in the cellar|above the valley|next to the school
        |on the market square|at the edge of the wood|in the upper village|between two hills
        |along the coast road|in the back room|across the river|below the castle|on the island|at the crossroads""",
    when="""in spring|on Monday|early in the morning|at the end of the month|during the holidays|on rainy days
        |in late autumn|before the market opens|at noon|after the long winter|once a year|on the second day
        |toward evening|in the dry season|on the way home|shortly before midnight|every other Sunday|in leap years""",
    how="""carefully|every week|with great care|without help|twice a year|for the first time|before breakfast|in silence
        |after work|as usual|with both hands|for an hour|by candlelight|without being asked|with a smile|at a low price
        |as well as possible|far too quickly""",
    being="""useful|fragile|famous|expensive|older than the town|easy to find|heavier than expected|almost forgotten
        |quite rare|better than before|too small|well known|of little value|out of order|ready|worth the journey
        |made by hand|hard to replace|a good example|full of surprises""",
    patterns="""
        {t} {A} {v} {o} {x}.
        {A} {v} {o} {x} and {w} {p} {h}.
        {A} says that {B} {v} {o} {h}.
        {s} {x} is {a}, because {B} {v} {o} {h}.
        When {A} {v} {o}, {B} {w} {p} {y}.
        {A}, who {v} {o} {h}, also {w} {p}.
        It takes {n} days until {B} {v} {o} {x}.
        Few people have seen {o}, but {A} {w} {p} {t}.
        {A} wants to know whether {s} is {a} or {b}.
        Of all {n} helpers only {A} {v} {o} with {B}.
        In {year} {s} was {a}; today {B} {v} {o} {x}.
        To most visitors {s} is {a}, and {A} {v} {o} {h}.
        If {s} is {b}, {A} {v} {o} {x} until {B} {w} {p}.
        According to {A}, {s} {x} is {n} years old.
        {A} and {B} have {n} reasons to think that {s} is {a}.
        Is it true that {A} {v} {o} {t}?
        {A} still {v} {o} {y}, although {s} is {b}.
        Since {year} there has been a place {x} for everyone who {v} {o}.
    """,
)

GERMAN = _grammar(
    people="""der Bäcker|die junge Ingenieurin|der frühere Lehrer|der Fährmann|die Bibliothekarin|der Nachtwächter
        |die Bürgermeisterin|der Lehrling|die Imkerin|der Geologe|die Krankenschwester|der Zimmermann|die Chorleiterin
        |der Schäfer|die Straßenbahnfahrerin|der Maler|die Müllerin|der Nachbar|die Schülerin|der Archivar|die Gärtnerin
        |der Uhrmacher|der Fischer|die Wirtin|die Sternforscherin|der Schneider|die Landärztin|der Leuchtturmwärter""",
    given="Anna Jürgen Käthe Lukas Britta Sören Ulrike Matthias Gisela Björn Heike Günter",
    surnames="Köhler Wiesner Brandt Schäfer Lindner Möller Krause Vogel Hübner Steinbach",
    fields="""repariert|streicht|vermisst|prüft|zeichnet|säubert:die steinerne Brücke
        |der runde Turm/den runden Turm|das Mühlrad|die Stadtmauer|die schmale Treppe|das eiserne Tor
        |das Fischerboot|die Bahnhofsuhr|der tiefe Brunnen/den tiefen Brunnen|der Gartenzaun/den Gartenzaun;
        liest|kopiert|übersetzt|verbessert|druckt|versteckt:der lange Brief/den langen Brief|das Reisetagebuch
        |das Kochbuch|der Schulbericht/den Schulbericht|das Theaterstück|das Erntelied|der Vertrag/den Vertrag
        |die gestrige Zeitung|das Wörterbuch|das Märchen;
        pflanzt|gießt|erntet|verkauft|schützt|züchtet:der Winterweizen/den Winterweizen|die Bohnenreihe
        |der Rotkohl/den Rotkohl|der Lavendel/den Lavendel|die Süßkirsche|die Gerste|der Kürbis/den Kürbis
        |der Salbei/den Salbei|die Johannisbeere|die Möhre;
        kocht|probiert|serviert|lobt|bestellt|bringt:die Zwiebelsuppe|der Fischeintopf/den Fischeintopf
        |das Kartoffelgemüse|die Pilzsoße|der heiße Apfelsaft/den heißen Apfelsaft|die Grütze
        |der Kräutertee/den Kräutertee|das Pflaumenmus|die Gemüsebrühe;
        beobachtet|beschreibt|fotografiert|erforscht|skizziert|bewundert:der Neumond/den Neumond
        |der Komet/den Kometen|der träge Fluss/den trägen Fluss|das Gewitter|der Gletscher/den Gletscher
        |der Bienenschwarm/den Bienenschwarm|die Springflut|der ferne Vulkan/den fernen Vulkan
        |der Morgennebel/den Morgennebel|die Sonnenfinsternis;
        stimmt|spielt|kauft|poliert|verleiht|sucht:die Geige|die Kirchenorgel|die Holzflöte|das Cello
        |das Waldhorn|die kleine Trommel|die Harfe|das Klavier|die Mandoline|das Akkordeon;
        startet|bremst|testet|verändert|erklärt|ölt:die Dampfmaschine|die Wasserpumpe|der Webstuhl/den Webstuhl
        |die Druckerpresse|die Nähmaschine|der Hafenkran/den Hafenkran|der Aufzug/den Aufzug
        |der Generator/den Generator|das Sägewerk""",
    where="""neben dem Bahnhof|hinter der Kirche|am Hafen|beim Kanal|in der Altstadt|unter den Linden
        |am Nordufer|im Keller|über dem Tal|vor der Schule|auf dem Marktplatz|am Waldrand|im Oberdorf
        |zwischen zwei Hügeln|an der Küstenstraße|im Hinterzimmer|jenseits der Brücke|unterhalb der Burg""",
    when="""im Frühling|am Montag|am frühen Morgen|gegen Ende des Monats|während der Ferien
        |an Regentagen|im Spätherbst|kurz vor Mitternacht|mittags|nach dem langen Winter|einmal im Jahr
        |am zweiten Tag|gegen Abend|jeden zweiten Sonntag|auf dem Heimweg""",
    how="""sorgfältig|jede Woche|mit großer Mühe|ohne Hilfe|zweimal im Jahr|zum ersten Mal
        |noch vor dem Frühstück|schweigend|nach der Arbeit|wie üblich|mit beiden Händen|eine Stunde lang
        |bei Kerzenlicht|ungefragt|gern|viel zu schnell""",
    being="""nützlich|zerbrechlich|berühmt|teuer|älter als die Stadt|leicht zu finden
        |schwerer als gedacht|fast vergessen|recht selten|besser als früher|zu klein|gut bekannt|wertlos
        |außer Betrieb|schwer zu ersetzen|sehr begehrt""",
    patterns="""
        {t} {v} {A} {o} {x}.
        {A} {v} {o} {x} und {w} {p} {h}.
        {A} sagt, dass {B} {o} {h} {v}.
        {s} {x} ist {a}, weil {B} {o} {h} {v}.
        Wenn {A} {o} {v}, {w} {B} {p} {y}.
        Es dauert {n} Tage, bis {B} {o} {x} {v}.
        Nur wenige kennen {o}, aber {A} {w} {p} {t}.
        {A} möchte wissen, ob {s} {a} oder {b} ist.
        Von {n} Helfern {v} nur {A} {o} {x}.
        Im Jahr {year} war {s} {a}; heute {v} {B} {o} {x}.
        Für die meisten Gäste ist {s} {a}, und {A} {v} {o} {h}.
        Falls {s} {b} ist, {v} {A} {o} {x}, bis {B} {p} {w}.
        Angeblich ist {s} {x} schon {n} Jahre alt.
        Stimmt es, dass {A} {t} {o} {v}?
        {A} {v} {o} noch immer {y}, obwohl {s} {b} ist.
    """,
)

FRENCH = _grammar(
    people="""le boulanger|la jeune géomètre|l'ancien instituteur|le passeur|la bibliothécaire
        |le veilleur de nuit|la mairesse|l'apprenti|l'apicultrice|le géologue|l'infirmière|le charpentier
        |la cheffe de chœur|le berger|le peintre|la meunière|le voisin|l'étudiante|l'archiviste|la jardinière
        |l'horloger|le pêcheur|l'aubergiste|l'astronome|la couturière|le médecin du village|le gardien du phare
        |la relieuse""",
    given="Claire Bernard Pauline Thomas Juliette Rémi Nadine Victor Lucie Gaston Françoise Jérôme",
    surnames="Morel Lambert Girard Perrin Vasseur Chevalier Marchand Renaud Dupré Fontaine",
    fields="""répare|peint|mesure|inspecte|dessine|nettoie:le pont de pierre|le toit en bois|la tour ronde
        |la roue du moulin|le mur de la ville|l'escalier étroit|la grille en fer|le bateau de pêche
        |l'horloge de la gare|le puits profond;
        lit|recopie|traduit|corrige|imprime|cache:la longue lettre|le carnet de voyage|le livre de cuisine
        |le bulletin scolaire|la pièce de théâtre|le chant des moissons|le contrat|le journal d'hier
        |le dictionnaire|le conte de fées;
        plante|arrose|récolte|vend|protège|cultive:le blé d'hiver|le jeune poirier|la rangée de haricots
        |le chou rouge|la lavande|le cerisier|l'orge|la citrouille|la sauge|le cassis;
        prépare|goûte|sert|apprécie|commande|apporte:la soupe à l'oignon|le pain de seigle|la soupe de poisson
        |la tarte aux prunes|le fromage de chèvre|le pâté aux champignons|le jus de pomme|le miel|la tisane;
        observe|décrit|photographie|étudie|admire|guette:la nouvelle lune|la comète|la rivière lente|l'orage
        |le glacier|l'essaim d'abeilles|la grande marée|le volcan lointain|la brume du matin|l'éclipse de soleil;
        accorde|achète|emprunte|cherche|prête|dépoussière:le violon|l'orgue de l'église|la flûte en bois
        |le violoncelle|le cor|le petit tambour|la harpe|le vieux piano|la mandoline|l'accordéon;
        démarre|arrête|teste|améliore|explique|graisse:la machine à vapeur|la pompe à eau|le métier à tisser
        |la presse à imprimer|la machine à coudre|la grue du port|l'ascenseur|le générateur|la scierie""",
    where="""près de la gare|derrière l'église|au port|le long du canal|dans la vieille ville|sous les tilleuls
        |sur la rive nord|à la cave|au-dessus de la vallée|devant l'école|sur la place du marché|en lisière du bois
        |en haut du village|entre deux collines|au bord de la route|dans l'arrière-boutique|au pied du château
        |sur la petite île""",
    when="""au printemps|le lundi|tôt le matin|à la fin du mois|pendant les vacances|les jours de pluie
        |en automne|un peu avant minuit|à midi|après le long hiver|une fois par an|le deuxième jour|vers le soir
        |un dimanche sur deux|sur le chemin du retour""",
    how="""avec soin|chaque semaine|sans aucune aide|deux fois par an|pour la première fois
        |avant le petit déjeuner|en silence|après le travail|comme d'habitude|des deux mains|pendant une heure
        |à la bougie|sans hésiter|avec plaisir|beaucoup trop vite|tant bien que mal""",
    being="""utile|fragile|célèbre|très rare|facile à trouver|plus solide que prévu|hors service
        |de grande valeur|sans valeur|presque introuvable|à la mode|indispensable|en bon état|visible de loin
        |difficile à remplacer|unique au monde""",
    patterns="""
        {t}, {A} {v} {o} {x}.
        {A} {v} {o} {x} et {w} {p} {h}.
        {A} dit que {B} {v} {o} {h}.
        {s} {x} est {a}, parce que {B} {v} {o} {h}.
        Lorsque {A} {v} {o}, {B} {w} {p} {y}.
        {A}, qui {v} {o} {h}, {w} aussi {p}.
        Il faut {n} jours avant que tout soit prêt : {B} {v} {o} {x}.
        Peu de gens connaissent {o}, mais {A} {w} {p} {t}.
        {A} voudrait savoir si {s} est {a} ou {b}.
        Sur {n} volontaires, seul un ami {v} {o} avec {B}.
        En {year}, {s} était déjà {a} ; aujourd'hui {B} {v} {o} {x}.
        Pour la plupart des visiteurs {s} est {a}, et {A} {v} {o} {h}.
        Si {s} est {b}, {A} {v} {o} {x} pendant que {B} {w} {p}.
        Selon {A}, {s} {x} a {n} ans.
        Est-il vrai que {A} {v} {o} {t} ?
        {A} {v} encore {o} {y}, même quand {s} est {b}.
    """,
)

SPANISH = _grammar(
    people="""el panadero|la joven ingeniera|el antiguo maestro|el barquero|la bibliotecaria
        |el vigilante nocturno|la alcaldesa|el aprendiz|la apicultora|el geólogo|la enfermera|el carpintero
        |la directora del coro|el pastor|el pintor|la molinera|el vecino|la estudiante|el archivero|la jardinera
        |el relojero|el pescador|la posadera|la astrónoma|el sastre|el médico del pueblo|el farero
        |la encuadernadora""",
    given="Carmen Martín Elena Pedro Rocío Daniel Lucía Simón Nuria Víctor Begoña Andrés",
    surnames="Marín Núñez Herrero Peña Aguilar Fuentes Muñoz Robledo Bermúdez Carrasco",
    fields="""repara|pinta|mide|inspecciona|dibuja|limpia:el puente de piedra|el tejado de madera
        |la torre redonda|la rueda del molino|la muralla|la escalera estrecha|la puerta de hierro
        |el barco de pesca|el reloj de la estación|el pozo profundo;
        lee|copia|traduce|corrige|imprime|esconde:la larga carta|el diario de viaje|el libro de cocina
        |el informe escolar|la obra de teatro|la canción de la cosecha|el contrato|el periódico de ayer
        |el diccionario|el cuento de hadas;
        planta|riega|cosecha|vende|protege|cultiva:el trigo de invierno|el joven peral|la hilera de judías
        |la col lombarda|la viña|la lavanda|el cerezo|la cebada|la calabaza|la salvia;
        prepara|prueba|sirve|elogia|pide|trae:la sopa de cebolla|el pan de centeno|el guiso de pescado
        |la tarta de ciruelas|el queso de cabra|la empanada de setas|el zumo de manzana|la miel
        |la infusión caliente|el caldo;
        observa|describe|fotografía|estudia|admira|recuerda:la luna nueva|el cometa|el río tranquilo|la tormenta
        |el glaciar|el enjambre de abejas|la marea viva|el volcán lejano|la niebla matinal|el eclipse de sol;
        afina|toca|compra|busca|presta|desempolva:el violín|el órgano de la iglesia|la flauta de madera
        |el violonchelo|la trompa|el pequeño tambor|el arpa|el viejo piano|la mandolina|el acordeón;
        enciende|detiene|prueba|mejora|explica|engrasa:la máquina de vapor|la bomba de agua|el telar|la imprenta
        |la máquina de coser|la grúa del puerto|el ascensor|el generador|el aserradero""",
    where="""junto a la estación|detrás de la iglesia|en el puerto|al lado del canal|en el casco antiguo
        |bajo los tilos|en la orilla norte|en el sótano|sobre el valle|frente a la escuela
        |en la plaza del mercado|en el límite del bosque|en lo alto del pueblo|entre dos colinas
        |por la carretera de la costa|en la trastienda|al pie del castillo|en la pequeña isla""",
    when="""en primavera|los lunes|muy de mañana|a fin de mes|durante las vacaciones|los días de lluvia
        |a finales de otoño|poco antes de medianoche|al mediodía|tras el largo invierno|una vez al año
        |el segundo día|hacia el anochecer|un domingo sí y otro no|de camino a casa""",
    how="""con cuidado|cada semana|sin ayuda|dos veces al año|por primera vez|antes del desayuno
        |en silencio|después del trabajo|como de costumbre|con ambas manos|durante una hora
        |a la luz de las velas|sin dudar|con gusto|demasiado deprisa|lo mejor posible""",
    being="""útil|frágil|célebre|muy frecuente|fácil de encontrar|mejor que antes|más grande que el resto
        |de gran valor|imposible de mover|demasiado débil|interesante|muy importante|difícil de entender
        |visible desde lejos|casi invisible|excelente""",
    patterns="""
        {t} {A} {v} {o} {x}.
        {A} {v} {o} {x} y {w} {p} {h}.
        {A} dice que {B} {v} {o} {h}.
        {s} {x} es {a}, porque {B} {v} {o} {h}.
        Cuando {A} {v} {o}, {B} {w} {p} {y}.
        {A}, que {v} {o} {h}, también {w} {p}.
        Pasan {n} días hasta el momento en que {B} {v} {o} {x}.
        Pocos conocen {o}, pero {A} {w} {p} {t}.
        {A} quiere saber si {s} es {a} o no.
        Entre {n} voluntarios, solo {A} {v} {o} con {B}.
        En {year} {s} ya era {a}; hoy {B} {v} {o} {x}.
        Para la mayoría de los visitantes {s} es {a}, y {A} {v} {o} {h}.
        Si {s} es {b}, {A} {v} {o} {x} mientras {B} {w} {p}.
        Según {A}, {s} {x} tiene {n} años.
        ¿Es verdad que {A} {v} {o} {t}?
        {A} todavía {v} {o} {y}, aunque {s} es {b}.
    """,
)

ITALIAN = _grammar(
    people="""il fornaio|la giovane ingegnera|il vecchio maestro|il traghettatore|la bibliotecaria|il guardiano notturno
        |la sindaca|l'apprendista|l'apicoltrice|il geologo|l'infermiera|il falegname|la maestra del coro|il pastore
        |il pittore|la mugnaia|il vicino|la studentessa|l'archivista|la giardiniera|l'orologiaio|il pescatore|l'ostessa
        |l'astronoma|il sarto|il medico del paese|il guardiano del faro|la rilegatrice""",
    given="Chiara Martino Elena Pietro Rita Daniele Giuditta Simone Nora Vittorio Niccolò Letizia",
    surnames="Marchetti Bianchi Gallo Pellegrini Vitale Serra Moretti Ferrara Lombardi Conti",
    fields="""ripara|dipinge|misura|controlla|disegna|pulisce:il ponte di pietra|il tetto di legno
        |la torre rotonda|la ruota del mulino|il muro della città|la scala stretta|il cancello di ferro
        |la barca da pesca|l'orologio della stazione|il pozzo profondo;
        legge|copia|traduce|corregge|stampa|nasconde:la lunga lettera|il diario di viaggio|il libro di cucina
        |la pagella|la commedia|il canto della mietitura|il contratto|il giornale di ieri|il dizionario|la fiaba;
        pianta|annaffia|raccoglie|vende|protegge|coltiva:il grano invernale|il giovane pero|la fila di fagioli
        |il cavolo rosso|la vigna|la lavanda|il ciliegio|l'orzo|la zucca|la salvia;
        prepara|assaggia|serve|loda|ordina|porta:la zuppa di cipolle|il pane di segale|lo stufato di pesce
        |la torta di prugne|il formaggio di capra|il pasticcio di funghi|il succo di mela|il miele|la tisana
        |il brodo caldo;
        osserva|descrive|fotografa|studia|ammira|ricorda:la luna nuova|la cometa|il fiume lento|il temporale
        |il ghiacciaio|lo sciame di api|l'alta marea|il vulcano lontano|la nebbia del mattino|l'eclissi di sole;
        accorda|suona|compra|cerca|presta|spolvera:il violino|l'organo della chiesa|il flauto di legno
        |il violoncello|il corno|il piccolo tamburo|l'arpa|il vecchio pianoforte|il mandolino|la fisarmonica;
        avvia|ferma|prova|migliora|spiega|lubrifica:la macchina a vapore|la pompa dell'acqua|il telaio
        |il torchio|la macchina da cucire|la gru del porto|l'ascensore|il generatore|la segheria""",
    where="""vicino alla stazione|dietro la chiesa|al porto|lungo il canale|nella città vecchia|sotto i tigli
        |sulla riva nord|in cantina|sopra la valle|davanti alla scuola|nella piazza del mercato|al margine del bosco
        |nella parte alta del paese|tra due colline|sulla strada costiera|nel retrobottega|ai piedi del castello
        |sulla piccola isola""",
    when="""in primavera|di lunedì|la mattina presto|alla fine del mese|durante le vacanze
        |nei giorni di pioggia|nel tardo autunno|poco prima di mezzanotte|a mezzogiorno|dopo il lungo inverno
        |una volta all'anno|il secondo giorno|verso sera|una domenica sì e una no|sulla via di casa""",
    how="""con cura|ogni settimana|senza aiuto|due volte all'anno|per la prima volta|prima di colazione|in silenzio
        |dopo il lavoro|come al solito|con entrambe le mani|per un'ora|a lume di candela|senza esitare|con piacere
        |troppo in fretta|come meglio può""",
    being="""utile|fragile|celebre|molto frequente|facile da trovare|più grande del previsto
        |di grande valore|difficile da spostare|troppo debole|interessante|molto importante|visibile da lontano
        |fuori servizio|in buono stato|quasi invisibile|eccellente""",
    patterns="""
        {t} {A} {v} {o} {x}.
        {A} {v} {o} {x} e {w} {p} {h}.
        {A} dice che {B} {v} {o} {h}.
        {s} {x} è {a}, perché {B} {v} {o} {h}.
        Quando {A} {v} {o}, {B} {w} {p} {y}.
        {A}, che {v} {o} {h}, {w} anche {p}.
        Passano {n} giorni prima del momento in cui {B} {v} {o} {x}.
        Pochi conoscono {o}, ma {A} {w} {p} {t}.
        {A} vuole sapere se {s} è {a} oppure no.
        Tra {n} volontari, solo {A} {v} {o} con {B}.
        Nel {year} {s} era già {a}; oggi {B} {v} {o} {x}.
        Per la maggior parte dei visitatori {s} è {a}, e {A} {v} {o} {h}.
        Se {s} è {b}, {A} {v} {o} {x} mentre {B} {w} {p}.
        Secondo {A}, {s} {x} ha {n} anni.
        È vero che {A} {v} {o} {t}?
        {A} {v} ancora {o} {y}, anche se {s} è {b}.
    """,
)

DUTCH = _grammar(
    people="""de bakker|de jonge ingenieur|de vroegere onderwijzer|de veerman|de bibliothecaris
        |de nachtwaker|de burgemeester|de leerling|de imker|de geoloog|de verpleegster|de timmerman
        |de koorleidster|de schaapherder|de trambestuurder|de schilder|de molenaar|de buurvrouw|de studente
        |de archivaris|de tuinman|de klokkenmaker|de visser|de herbergier|de sterrenkundige|de kleermaker
        |de dorpsarts|de vuurtorenwachter""",
    given="Anneke Joost Marijke Pieter Trijntje Daan Liesbeth Sjoerd Wietske Gerrit Hanneke Thijs",
    surnames="Bakema Veenstra Hoekstra Kuipers Zijlstra Brouwer Schouten Meijer Duinkerk Vermeulen",
    fields="""repareert|schildert|meet|bekijkt|tekent|poetst:de stenen brug|het houten dak|de ronde toren
        |het molenrad|de stadsmuur|de smalle trap|het ijzeren hek|de vissersboot|de stationsklok|de diepe put;
        leest|kopieert|vertaalt|verbetert|drukt|verbergt:de lange brief|het reisdagboek|het kookboek
        |het schoolrapport|het toneelstuk|het oogstlied|het contract|de krant van gisteren|het woordenboek
        |het sprookje;
        plant|begiet|oogst|verkoopt|beschermt|kweekt:de wintertarwe|de jonge perenboom|de rij bonen|de rodekool
        |de wijngaard|de lavendel|de kersenboom|de gerst|de pompoen|de salie;
        kookt|proeft|serveert|prijst|bestelt|brengt:de uiensoep|de visstoofpot|de pruimenpap|de geitenkaas
        |de paddenstoelensaus|het warme appelsap|de honingthee|de gortsoep|de groentebouillon;
        bestudeert|beschrijft|fotografeert|volgt|schetst|bewondert:de nieuwe maan|de komeet|de trage rivier
        |het onweer|de gletsjer|de bijenzwerm|het springtij|de verre vulkaan|de ochtendmist|de zonsverduistering;
        stemt|bespeelt|koopt|leent|zoekt|bewaart:de viool|het kerkorgel|de houten fluit|de cello|de hoorn
        |de kleine trommel|de harp|de oude piano|de mandoline|de accordeon;
        start|stopt|test|vernieuwt|verklaart|smeert:de stoommachine|de waterpomp|het weefgetouw|de drukpers
        |de naaimachine|de havenkraan|de lift|de generator|de houtzagerij""",
    where="""naast het station|achter de kerk|in de haven|bij het kanaal|in de oude stad
        |onder de lindebomen|op de noordelijke oever|in de kelder|boven het dal|voor de school|op het marktplein
        |aan de rand van het bos|in het bovenste dorp|tussen twee heuvels|langs de kustweg|in de achterkamer
        |aan de overkant|onder het kasteel""",
    when="""in het voorjaar|op maandag|vroeg in de ochtend|tegen het einde van de maand
        |tijdens de vakantie|op regendagen|laat in de herfst|vlak voor middernacht|om twaalf uur
        |na de lange winter|eens per jaar|op de tweede dag|tegen de avond|om de andere zondag|op weg naar huis""",
    how="""zorgvuldig|elke week|met veel moeite|zonder hulp|twee keer per jaar|voor het eerst
        |nog voor het ontbijt|zwijgend|na het werk|zoals gewoonlijk|met beide handen|een uur lang|bij kaarslicht
        |ongevraagd|met plezier|veel te snel""",
    being="""nuttig|breekbaar|beroemd|duur|ouder dan de stad|makkelijk te vinden|zwaarder dan gedacht
        |bijna vergeten|vrij zeldzaam|beter dan vroeger|te klein|goed bekend|weinig waard|buiten gebruik
        |moeilijk te vervangen|erg gewild""",
    patterns="""
        {t} {v} {A} {o} {x}.
        {A} {v} {o} {x} en {w} {p} {h}.
        {A} zegt dat {B} {o} {h} {v}.
        {s} {x} is {a}, omdat {B} {o} {h} {v}.
        Als {A} {o} {v}, {w} {B} {p} {y}.
        Het duurt {n} dagen voordat {B} {o} {x} {v}.
        Weinig mensen kennen {o}, maar {A} {w} {p} {t}.
        {A} wil weten of {s} {a} of {b} is.
        Van de {n} helpers {v} alleen {A} {o} {x}.
        In {year} was {s} {a}; nu {v} {B} {o} {x}.
        Voor de meeste bezoekers is {s} {a}, en {A} {v} {o} {h}.
        Zodra {s} {b} is, {v} {A} {o} {x}, tot {B} {p} {w}.
        Volgens {A} is {s} {x} al {n} jaar oud.
        Is het waar dat {A} {o} {t} {v}?
        {A} {v} {o} nog altijd {y}, hoewel {s} {b} is.
    """,
)

GRAMMARS = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH, "it": ITALIAN, "nl": DUTCH}
