"""Short made-up stories: few words, one cause and its effects, so that a tiny model learns to tell them in seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Person(NamedTuple):
    """A child and the words that stand for it."""

    name: str
    he: str
    him: str
    his: str


PEOPLE = [
    *(Person(name, "she", "her", "her") for name in ("Anna", "Mia", "Lily", "Rosa", "Sara", "Nina")),
    *(Person(name, "he", "him", "his") for name in ("Tom", "Ben", "Max", "Leo", "Sam", "Omar")),
]
HELPERS = ("mother", "father", "grandmother", "uncle", "sister", "brother")
ANIMALS = ("cat", "dog", "bird", "rabbit", "duck", "fox")
COLOURS = ("red", "blue", "green", "yellow", "white")
TOYS = ("ball", "kite", "boat", "drum", "hat", "book")
PLACES = ("garden", "park", "forest", "farm", "beach")
SPOTS = ("under a tree", "behind a wall", "next to a big stone", "in the tall grass")
TIMES = ("One morning", "One day", "One evening", "On a sunny day", "On a cold day")
FOODS = ("apple", "cake", "pear", "piece of bread", "cookie")
SEEDS = ("bean", "sunflower", "tomato", "corn")
ENDINGS = ("It was the best day of the week.", "That night everybody slept well.", "They laughed for a long time.")
FRIENDLY = (*ENDINGS, "After that day they were good friends.")


def tell(count: int, seed: int) -> list[str]:
    """The first `count` stories of a seed; the same on every platform and Python, and fewer are a prefix of more."""
    random = Random(seed)
    return [_pick(random, PLOTS)(random) for _ in range(count)]


def _pick(random: Random, options: Sequence[T]) -> T:
    return options[int(random.random() * len(options))]  # Python promises only random() to stay as it is


def _two(random: Random, options: Sequence[T]) -> tuple[T, T]:
    first = _pick(random, options)
    return first, _pick(random, [option for option in options if option != first])


def _text(lines: str) -> str:
    return " ".join(lines.split())


def _lost(random: Random) -> str:
    child, helper = _pick(random, PEOPLE), _pick(random, HELPERS)
    colour, toy, place, spot = (_pick(random, words) for words in (COLOURS, TOYS, PLACES, SPOTS))
    return _text(
        f"""{child.name} had a {colour} {toy}. {_pick(random, TIMES)} {child.he} took the {toy} to the {place} and put
        it {spot}. Then {child.he} ran off to play and forgot it. At home {child.name} looked for the {toy}, but it
        was gone. {child.he.capitalize()} was sad. "Where did you play?" asked {child.his} {helper}. They went back to
        the {place} and looked {spot}. There was the {colour} {toy}! {child.name} was happy again.
        {_pick(random, ENDINGS)}"""
    )


def _hungry(random: Random) -> str:
    child, animal = _pick(random, PEOPLE), _pick(random, ANIMALS)
    colour, place, spot, food = (_pick(random, words) for words in (COLOURS, PLACES, SPOTS, FOODS))
    an = "an" if food == "apple" else "a"
    return _text(
        f"""{_pick(random, TIMES)} {child.name} walked to the {place} with {an} {food} in {child.his} bag.
        {child.he.capitalize()} saw a little {colour} {animal} {spot}. The {animal} was thin and did not move. "You
        must be hungry," said {child.name}, and gave it the {food}. The {animal} ate all of it. Because it was not
        hungry any more, it jumped up and danced around {child.him}. {child.name} called the {animal}
        {_pick(random, ("Lucky", "Star", "Button", "Cloud"))}. {_pick(random, FRIENDLY)}"""
    )


def _shared(random: Random) -> str:
    (one, other), place = _two(random, PEOPLE), _pick(random, PLACES)
    colour, toy = _pick(random, COLOURS), _pick(random, TOYS)
    return _text(
        f"""{one.name} and {other.name} found a {colour} {toy} in the {place}. Both of them wanted it. "I saw it first,"
        said {one.name}. "No, I did," said {other.name}. They pulled and pulled until the {toy} fell into the mud. Now
        it was brown and nobody could play. {one.name} said sorry, and {other.name} said sorry too. They washed the
        {toy} until it was {colour} again. First {one.name} played with it, and then it was {other.name}'s turn.
        {_pick(random, FRIENDLY)}"""
    )


def _grown(random: Random) -> str:
    child, helper, seed = _pick(random, PEOPLE), _pick(random, HELPERS), _pick(random, SEEDS)
    return _text(
        f"""{child.name} put a {seed} seed into the ground behind the house. Every day {child.he} looked, but there was
        nothing to see. "It is dead," said {child.name}. "It is only thirsty," said {child.his} {helper}. So
        {child.name} gave it water each morning and waited. After {_pick(random, ("two", "three", "five"))} weeks a
        green leaf came out. The plant grew and grew until it was as tall as {child.name}. {child.he.capitalize()}
        showed it to {child.his} {helper} and was proud. {_pick(random, ENDINGS)}"""
    )


def _feared(random: Random) -> str:
    child, helper, animal = _pick(random, PEOPLE), _pick(random, HELPERS), _pick(random, ANIMALS)
    where = _pick(random, ("under the bed", "behind the door", "on the roof", "in the kitchen"))
    return _text(
        f"""It was dark and {child.name} could not sleep. There was a noise {where}. {child.he.capitalize()} was afraid
        and called {child.his} {helper}. "Let us look together," said the {helper}, and took a lamp. They went slowly
        and held hands. The noise came again. But {where} there was only a wet {animal} that wanted to be warm.
        {child.name} dried it with a towel, and because the {animal} was quiet now, {child.he} was not afraid any
        more. {_pick(random, ENDINGS)}"""
    )


def _mended(random: Random) -> str:
    (child, friend), place = _two(random, PEOPLE), _pick(random, PLACES)
    colour, weather = _pick(random, COLOURS), _pick(random, ("wind", "rain", "snow"))
    thing = _pick(random, ("tent", "tower", "bridge", "house"))
    return _text(
        f"""{_pick(random, TIMES)} {child.name} built a {colour} {thing} in the {place}. In the night there was so much
        {weather} that the {thing} fell down. {child.name} saw it and cried. {child.his.capitalize()} friend
        {friend.name} came by. "I can help you," said {friend.name}. {friend.he.capitalize()} brought long sticks and
        {child.name} brought a rope. Together they built the {thing} again, and this time it was strong. When the
        {weather} came back, it did not fall. {_pick(random, FRIENDLY)}"""
    )


PLOTS: tuple[Callable[[Random], str], ...] = (_lost, _hungry, _shared, _grown, _feared, _mended)
