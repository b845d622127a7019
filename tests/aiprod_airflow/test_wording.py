"""What people read before they answer is what was ordered, and nothing a customer wrote is more than text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from aiprod.bulk.plan import Plan, PlannedRow, Wanted
from aiprod.bulk.rows import Problem
from aiprod.ledger.purchases import Purchase
from aiprod.models import USD, Estimate, EstimateLine, JobSpec, Manifest, Shot
from aiprod.parking import Parked
from aiprod_airflow.wording import campaign_body, parked_body, plain, review_body, spend_body
from tests.desk import NOW

#: GitHub's tables and strikethrough over CommonMark, HTML let through: no stricter than Airflow's page.
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

#: What remark-gfm (Airflow's renderer) turns into links in the finished text, after all escapes are resolved.
LINKED_LATER = (
    re.compile(r"(https?:\/\/|www(?=\.))([-.\w]+)([^ \t\r\n]*)", re.IGNORECASE),
    re.compile(r"([-.\w+]+)@([-\w]+(?:\.[-\w]+)+)"),
)

NASTY = [
    "a | b | c",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "![poster](https://evil.example/x.png)",
    "[approve here](javascript:alert(1))",
    "<https://evil.example>",
    "see https://evil.example/pay and www.evil.example or HTTP://EVIL.EXAMPLE, ask a@evil.example",
    "**bold** _it_ ~~gone~~ `code` ```fence```",
    "one\n\n# heading\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n* item",
    "line\r\nbreak\u2028paragraph\x85next",
    "&lt;b&gt; &#60;b&#62; &amp; &nbsp;",
    "back\\slash \\| \\` \\<b\\>",
    "{{ 1 / 0 }} {% raw %}",
    "$1.00 [^1] :smile: - [ ] todo 1. list > quote + plus ---",
    "`|` and ``|``",
    "x" * 500,
]


class Page(HTMLParser):
    """The tags of a page, and its text cell by cell."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._cell = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell:
            self.rows[-1][-1] += data


def page(markdown: str) -> Page:
    return Page(MARKDOWN.render(markdown))


def seen(text: str) -> str:
    """A text as somebody sees it: without joiners that take no room."""
    return text.replace("\N{WORD JOINER}", "").strip()


def on_one_line(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= 160 else short[:159] + "…"


class TestPlain:
    @pytest.mark.parametrize("text", NASTY)
    def test_it_renders_as_exactly_that_text(self, text: str) -> None:
        rendered = page(f"before {plain(text)} after")

        assert rendered.tags == ["p"]
        assert seen(rendered.text) == f"before {on_one_line(text)} after"

    @pytest.mark.parametrize("text", NASTY)
    def test_nothing_in_it_becomes_a_link_afterwards(self, text: str) -> None:
        shown = page(plain(text)).text

        assert [pattern.search(shown) for pattern in LINKED_LATER] == [None, None]

    @pytest.mark.parametrize("text", NASTY)
    def test_it_is_one_line(self, text: str) -> None:
        assert len(plain(text).splitlines()) == 1

    def test_words_are_left_alone(self) -> None:
        assert plain("Ein Leuchtturm im Morgenlicht, 5 Möwen") == "Ein Leuchtturm im Morgenlicht, 5 Möwen"


def spend(*prompts: str, note: str = "", backends: tuple[str, ...] = ("runway", "veo3")) -> Page:
    manifest = Manifest(
        job_id="job-1",
        version=2,
        aspect_ratio="16:9",
        resolution="720p",
        audio=True,
        shots=tuple(Shot(index=n, prompt=prompt, seconds=4) for n, prompt in enumerate(prompts, start=1)),
    )
    lines = tuple(
        EstimateLine(shot=shot.index, backend=name, model="m", bought_seconds=5, quote=USD // 2, note=note)
        for shot in manifest.shots
        for name in backends
        if not (shot.index == 2 and name == "veo3")
    )
    priced = Estimate(tariff="list", lines=lines, expected=USD, worst_case=3 * USD)
    return page(spend_body(manifest, priced, amount=3 * USD, budget_left=10 * USD, preset="quick_social"))


class TestSpendBody:
    @pytest.mark.parametrize("prompt", NASTY)
    def test_every_row_of_a_table_has_the_columns_of_its_head(self, prompt: str) -> None:
        rows = spend(prompt, prompt).rows

        assert [len(row) for row in rows] == [5, 5, 5, 2, 2, 2, 2, 2]
        assert seen(rows[1][-1]) == on_one_line(prompt)

    @pytest.mark.parametrize("prompt", NASTY)
    def test_a_prompt_adds_nothing_to_the_page(self, prompt: str) -> None:
        assert spend(prompt, prompt).tags == spend("a lake", "a lake").tags

    def test_a_shot_that_a_backend_cannot_make_has_no_price_there(self) -> None:
        assert spend("a", "b").rows[2][:4] == ["2", "4", "$0.50", "–"]

    def test_what_is_approved_is_the_envelope(self) -> None:
        sums = dict(row for row in spend("a").rows if len(row) == 2)

        assert sums["You approve at most"] == "$3.00"
        assert sums["Expected"] == "$1.00"
        assert sums["Worst case, every allowed attempt charged"] == "$3.00"
        assert sums["Left in the job's budget"] == "$10.00"

    def test_it_says_which_version_the_answer_counts_for(self) -> None:
        assert "The answer counts for version 2 only." in spend("a").text

    def test_a_note_of_the_price_stands_below_its_mark(self) -> None:
        noted = spend("a", note="bought as 5 s")

        assert noted.rows[1][2] == "$0.50 ¹"
        assert "¹ runway: bought as 5 s" in noted.text

    def test_one_backend_makes_one_column(self) -> None:
        assert [len(row) for row in spend("a", backends=("runway",)).rows][:2] == [4, 4]


class TestReviewBody:
    def test_it_says_why_somebody_is_asked_and_where_to_look(self) -> None:
        shown = page(review_body("job-1", 3, ("shot 1 was not scored",), "file:///v/video_1.mp4", "file:///v/poster*.jpg"))

        for part in ("job-1", "version 3", "shot 1 was not scored", "file:///v/video_1.mp4", "file:///v/poster*.jpg"):
            assert part in shown.text

    @pytest.mark.parametrize("reason", NASTY)
    def test_a_reason_adds_nothing_to_the_page(self, reason: str) -> None:
        assert page(review_body("job-1", 1, (reason,), "v", "p")).tags == page(review_body("job-1", 1, ("a",), "v", "p")).tags


class TestParkedBody:
    def body(self, prompt: str, *, why: str = "the answer was lost: read timeout", vendor_id: str | None = None) -> Page:
        purchase = Purchase(
            purchase_id="ab12",
            job_id="job-1",
            version=1,
            kind="render",
            subject="2",
            sequence=1,
            round=1,
            backend="runway",
            model="gen4.5",
            request={"prompt": prompt},
            request_sha="s",
            envelope=1,
            hold=USD,
            charged=None,
            cost_source=None,
            state="unknown",
            vendor_id=vendor_id,
            fence=1,
            lease_until=None,
            slot_until=None,
            expires_at=None,
            parked_at=NOW,
            retry_at=None,
            failure=None,
            message=None,
            created_at=NOW,
            submitted_at=NOW,
            closed_at=None,
            updated_at=NOW,
        )
        line = Parked(purchase=purchase, short="ab12", prompt=prompt, sent_at=NOW, since=NOW, why=why, answers=("ran",))
        return page(parked_body(line, {"It ran": "it is fetched", "Write it off": "closed"}, {"Write it off": "you pay twice"}))

    def test_it_says_what_to_look_for_and_what_each_answer_does(self) -> None:
        shown = self.body("a lake")

        assert ["Prompt", "a lake"] in shown.rows
        assert ["Sent", "2026-11-23 12:00:00 UTC"] in shown.rows
        assert ["Held", "$1.00"] in shown.rows
        assert "It ran: it is fetched." in shown.text
        assert "Write it off: closed. you pay twice." in shown.text

    @pytest.mark.parametrize("nasty", NASTY)
    def test_nobodys_words_add_anything_to_the_page(self, nasty: str) -> None:
        assert self.body(nasty, why=nasty, vendor_id=nasty).tags == self.body("a", why="a", vendor_id="a").tags


class TestCampaign:
    def body(self, words: str, rows: int = 1, problems: int = 0) -> Page:
        order = JobSpec(prompt=words)
        planned = tuple(
            PlannedRow(line=n, key=words[:40], change="new", order=order, expected=USD, most=3 * USD) for n in range(1, rows + 1)
        )
        wrong = tuple(Problem(line=n, column="2 (seconds)", message=words) for n in range(problems))
        wanted = Wanted(campaign="spring", source=words)
        sums = {"expected": USD, "worst_case": 3 * USD, "amount": 3 * USD, "approved": USD, "today_left": 2 * USD}
        plan = Plan(wanted=wanted, rows=planned, problems=wrong, duplicates=(words,), fits_today=1, fits_campaign=1, **sums)
        return page(campaign_body(plan))

    @pytest.mark.parametrize("text", NASTY)
    def test_nothing_of_a_row_is_more_than_text(self, text: str) -> None:
        shown = self.body(text, problems=1)

        assert set(shown.tags) <= {"p", "strong", "code", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
        assert [pattern.search(shown.text) for pattern in LINKED_LATER] == [None, None]
        assert seen(shown.rows[-1][-1]) == on_one_line(text)

    def test_what_changed_says_what_it_uses_again_and_what_cannot_change_now_says_why(self) -> None:
        row = PlannedRow(line=1, key="a", change="changed", order=JobSpec(prompt="a lake"), expected=USD, most=USD, again=2)
        late = row.model_copy(update={"line": 2, "key": "b", "change": "later", "why": "job b is being made"})
        sums = {"expected": USD, "worst_case": USD, "amount": USD, "approved": None, "today_left": USD}
        wanted = Wanted(campaign="spring", source="rows.csv")
        plan = Plan(wanted=wanted, rows=(row, late), problems=(), duplicates=(), fits_today=1, fits_campaign=1, **sums)
        shown = page(campaign_body(plan))
        assert shown.rows[-1][1] == "a (changed; 2 takes used again)"
        assert "0 new rows, 1 changed, 0 as before, 0 problems" in shown.text
        assert "line 2 (b): job b is being made; its change is picked up by the next run" in shown.text

    def test_a_long_campaign_is_shown_by_its_first_rows_and_how_many_more(self) -> None:
        shown = self.body("a lake", rows=60, problems=30)

        assert shown.rows[-1][1] == "35 more rows"
        assert "… and 5 more" in shown.text
        assert ["You approve at most, for the whole campaign", "$3.00"] in shown.rows


def test_what_judging_costs_is_shown_where_somebody_judges_and_nowhere_else() -> None:
    manifest = Manifest(job_id="job-1", version=1, aspect_ratio="16:9", resolution="720p", audio=True, shots=())
    for judging, shown in ((0, False), (270_000, True)):
        priced = Estimate(tariff="list", lines=(), expected=0, worst_case=USD, judging=judging)
        body = spend_body(manifest, priced, amount=USD, budget_left=USD, preset="quick_social")
        assert ("| of which judging every take, at most | $0.27 |" in body) is shown
