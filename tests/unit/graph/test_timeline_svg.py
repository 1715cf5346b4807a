"""The picture of a start-up: well-formed, every text inside, none on another, whatever the names and times."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.graph.timeline import Times, timeline
from supervisor.graph.timeline_svg import span_words, svg, ticks

NS = "{http://www.w3.org/2000/svg}"
NAME = st.text("abcxyz0189_.-", min_size=1, max_size=128).map(lambda text: f"n{text}"[:128])
MOMENT = st.integers(0, 200_000_000)


@st.composite
def containers(draw: st.DrawFn) -> list[Times]:
    """Any number of starts; the times need not make sense, systemd's may not either."""
    names = draw(st.lists(NAME, min_size=0, max_size=100, unique=True))
    pairs = st.tuples(MOMENT, MOMENT)
    return [
        Times(
            name,
            image=draw(pairs),
            network=draw(pairs),
            starting=draw(MOMENT),
            launched=draw(MOMENT),
            ready=draw(MOMENT),
            gate=draw(pairs),
            gate_ended=draw(MOMENT),
            ended=draw(MOMENT),
            failed=draw(st.booleans()),
            after=((draw(st.sampled_from(names)), draw(st.booleans())),),
        )
        for name in names
    ]


def boxes(root: ElementTree.Element) -> list[tuple[float, float, float, float, str]]:
    """Left, right, top, bottom and words of each text; a character of a proportional font is 0.55 wide here."""
    found = []
    for text in root.iter(f"{NS}text"):
        words, size = text.text or "", float(text.get("font-size", "11"))
        width = len(words) * size * (0.603 if "mono" in text.get("font-family", "") else 0.55)
        x, y = float(text.get("x", "0")), float(text.get("y", "0"))
        left = {"start": x, "middle": x - width / 2, "end": x - width}[text.get("text-anchor", "start")]
        found.append((left, left + width, y - size * 0.75, y + size * 0.2, words))
    return found


@settings(max_examples=60)
@given(containers(), st.text(max_size=200) | st.just("a title too long for the room beside the legend " * 4))
def test_texts_are_inside_and_apart(times: list[Times], title: str) -> None:
    """Of 0 to 100 containers with names of 1 to 128 characters."""
    root = ElementTree.fromstring(svg(timeline(times, 200_000_000), title, "2026-11-21 15:02:11"))
    _, _, width, height = map(float, root.get("viewBox", "").split())
    found = boxes(root)
    for left, right, top, bottom, words in found:
        assert left >= 0 and right <= width and top >= 0 and bottom <= height, words
    for at, (left, right, top, bottom, words) in enumerate(found):
        for other in found[at + 1 :]:
            apart = right <= other[0] or other[1] <= left or bottom <= other[2] or other[3] <= top
            assert apart, (words, other[4])
    for rect in root.iter(f"{NS}rect"):
        assert float(rect.get("x", "0")) + float(rect.get("width", "0")) <= width + 0.5


def test_it_brings_its_own_background() -> None:
    """The first thing drawn is as large as the picture, so that dark viewers show it as well."""
    root = ElementTree.fromstring(svg(timeline((Times("a", starting=1, ready=2),), 3), "a", "now"))
    first = next(iter(root.iter(f"{NS}rect")))
    assert (first.get("width"), first.get("height")) == (root.get("width"), root.get("height"))
    assert str(first.get("fill")).startswith("#")


def test_the_time_in_which_it_waited_is_dotted() -> None:
    """After its image and after its network, where the next part did not begin at once."""
    waited = Times("web", image=(10, 20), network=(30, 40), starting=50, launched=60, ready=70)
    assert svg(timeline([waited], 70), "web", "now").count('stroke-dasharray="1 3"') == 2
    at_once = Times("web", image=(10, 20), network=(20, 40), starting=40, launched=60, ready=70)
    assert svg(timeline([at_once], 70), "web", "now").count('stroke-dasharray="1 3"') == 0


def test_an_unhealthy_container_is_called_so() -> None:
    """At the right, in the summary and beside the pointer; not 'starting…', and not healthy."""
    sick = Times("sick", starting=10, launched=11, ready=12, gate=(12, 0), gate_ended=3_000_012)
    root = ElementTree.fromstring(svg(timeline((sick,), 90_000_000_000), "a", "now"))
    texts = [text.text or "" for text in root.iter(f"{NS}text")]
    assert "unhealthy" in texts
    assert "now  ·  1 container  ·  1 unhealthy  ·  ready after 0 ms" in texts
    assert not {"starting…", "healthy"} & set(texts)
    assert "sick: unhealthy after 3.00 s" in [title.text for title in root.iter(f"{NS}title")]


@given(st.integers(1, 10**14))
def test_ticks_are_few_and_in_order(total: int) -> None:
    """At most eleven, the first at 0, none beyond the end, and no label twice."""
    found = ticks(total)
    assert found[0] == (0, "0")
    assert 1 <= len(found) <= 11
    assert all(at <= total for at, _ in found)
    assert [at for at, _ in found] == sorted({at for at, _ in found})
    assert total < 10 or len({label for _, label in found}) == len(found)


def test_spans_in_words() -> None:
    """Three digits or so, for people."""
    assert [span_words(n) for n in (0, 85_400, 999_600, 1_240_000, 59_990_000, 125_000_000, 3_725_000_000)] == [
        *("0 ms", "85 ms", "1.00 s", "1.24 s", "59.99 s", "2 min 05 s", "1 h 02 min"),
    ]
