"""The life of a job on both real servers: opened, handed out, decided once, by one or two people."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from pipeline.intents.agreement import agreement
from pipeline.intents.review import BadDecision, UnknownIntent
from resources.reviews import (
    AlreadyDecided,
    Claim,
    Decision,
    DecisionConflict,
    JobUnknown,
    LeaseLost,
    ReviewError,
    Reviews,
)

CLAIMS_AND_WAITS = """
import sys, time
from resources.reviews import Reviews
claim = Reviews(sys.argv[1]).next("ann")
print(claim.token, flush=True)
time.sleep(600)
"""
DRAINS = """
import sys
from resources.reviews import Decision, Reviews
reviews, who = Reviews(sys.argv[1]), sys.argv[2]
while claim := reviews.next(who):
    reviews.decide(Decision(claim.job["job_id"], who, "accept", token=claim.token))
    print(claim.job["job_id"], flush=True)
"""


def said(claim: Claim, verdict: str = "accept", intent: str | None = None, **more: object) -> Decision:
    return Decision(claim.job["job_id"], claim.reviewer, verdict, intent, claim.token, **more)


def expire(rows, token: int) -> None:
    rows("UPDATE review_claims SET expires_at_ms = 1 WHERE token = :token", token=token)
    rows("UPDATE review_jobs SET claimable_at_ms = 1 WHERE claimable_at_ms > 0")


def actions(rows, job_id: str) -> list[str]:
    return [
        action for (action,) in rows("SELECT action FROM review_audit WHERE job_id = :job ORDER BY number", job=job_id)
    ]


# -- opening --------------------------------------------------------------------------------------------------------


def test_jobs_are_opened_once_however_often_they_are_asked(reviews, asked, rows):
    first, again = reviews.open("m", asked(3)), reviews.open("m", asked(3))
    assert (first.new, first.known) == (3, 0)
    assert (again.new, again.changed, again.known, again.withdrawn) == (0, 0, 3, 0)
    assert reviews.counts() == {"open": 3}
    assert rows("SELECT count(*) FROM review_audit WHERE action = 'opened'") == [(3,)]


def test_an_open_job_follows_its_reasons_and_a_closed_one_does_not(reviews, asked):
    reviews.open("m", asked(2))
    reviews.decide(said(reviews.next("ann")))
    after = reviews.open("m", asked(2, reasons=[["audit"]] * 2, priority=0.9, required=True))
    assert (after.changed, after.known) == (1, 1)
    found = reviews.reviews("m").sort("from_ms")
    assert found["reasons"].to_list() == [["low_confidence"], ["audit"]]
    assert found["required"].to_list() == [False, True]


def test_what_is_no_longer_asked_is_withdrawn_unless_somebody_is_at_it(reviews, asked, rows):
    reviews.open("m", asked(3))
    held = reviews.next("ann")
    reviews.open("other", asked(1, match_id="other", model_version="v9"))
    after = reviews.open("m", asked(3, model_version="v2"))
    assert (after.new, after.withdrawn) == (3, 2)
    assert reviews.job(held.job["job_id"])["state"] == "open"
    assert reviews.counts() == {"open": 5, "withdrawn": 2}
    back = reviews.open("m", asked(3))
    assert (back.new, back.changed, back.known, back.withdrawn) == (0, 2, 1, 3)
    assert reviews.next("bob").job["model_version"] in ("v1", "v9")


def test_a_stretch_that_people_have_judged_is_not_asked_again_for_the_next_model(reviews, asked):
    reviews.open("m", asked(2))
    reviews.decide(said(reviews.next("ann")))
    after = reviews.open("m", asked(2, model_version="v2"))
    assert (after.new, after.judged, after.withdrawn) == (1, 1, 1)
    longer = reviews.open("m", asked(2, model_version="v3", to_ms=[900, 1750]))
    assert (longer.new, longer.judged) == (2, 0)


def test_two_processes_that_open_the_same_match_open_each_job_once(url, asked, rows):
    def opened(_: int) -> int:
        return Reviews(url).open("m", asked(200)).new

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(opened, range(3))) == 200
    assert rows("SELECT count(*) FROM review_jobs") == [(200,)]
    assert rows("SELECT count(*) FROM review_audit") == [(200,)]


# -- handing out ----------------------------------------------------------------------------------------------------


def test_the_most_urgent_job_comes_first_and_nobody_else_gets_it(reviews, asked):
    reviews.open("m", asked(2, priority=[0.1, 0.9]))
    ann, bob = reviews.next("ann"), reviews.next("bob")
    assert (ann.job["from_ms"], bob.job["from_ms"]) == (1000, 0)
    assert reviews.next("cy") is None
    assert ann.job["features"] == {"t_ms": 250, "speed_mps": 0.1, "bomb_m": None}
    assert ann.job["prediction"]["hold"] == 0.5
    assert ann.expires_at - ann.claimed_at == timedelta(seconds=reviews.config.queue.lease_s)


def test_a_reviewer_who_asks_again_gets_what_they_have_with_a_new_lease(reviews, asked, rows):
    reviews.open("m", asked(2))
    first = reviews.next("ann")
    expire(rows, first.token)
    again = reviews.next("ann")
    assert (again.token, again.job["job_id"]) == (first.token, first.job["job_id"])
    assert again.expires_at > again.claimed_at >= first.claimed_at
    assert reviews.next("bob").job["job_id"] != first.job["job_id"]


def test_only_of_a_match_or_only_one_job(reviews, asked):
    reviews.open("m", asked(2))
    reviews.open("other", asked(1, match_id="other", model_version="v9", priority=0.1))
    first = reviews.next("ann")
    other = reviews.next("ann", match_id="other")
    assert other.job["match_id"] == "other"
    assert reviews.next("bob").job["job_id"] == first.job["job_id"], "given back"
    assert reviews.next("bob", job_id=other.job["job_id"]) is None
    assert reviews.next("cy", match_id="none") is None
    with pytest.raises(JobUnknown, match="feed"):
        reviews.next("cy", job_id="feed")
    with pytest.raises(ReviewError, match="name"):
        reviews.next(" ")


def test_an_expired_lease_goes_to_the_next_and_the_late_decision_is_refused(reviews, asked, rows):
    reviews.open("m", asked())
    late = reviews.next("ann")
    assert reviews.next("bob") is None
    expire(rows, late.token)
    taken = reviews.next("bob")
    assert taken.job["job_id"] == late.job["job_id"]
    assert taken.token > late.token
    with pytest.raises(LeaseLost, match="somebody else has the job"):
        reviews.decide(said(late))
    assert reviews.decided() == 0
    reviews.decide(said(taken, "reject"))
    with pytest.raises(LeaseLost):
        reviews.decide(said(late))
    assert actions(rows, late.job["job_id"]) == ["opened", "claimed", "expired", "claimed", "decided", "closed"]


def test_a_late_decision_counts_while_nobody_else_has_the_job(reviews, asked, rows):
    reviews.open("m", asked())
    late = reviews.next("ann")
    expire(rows, late.token)
    assert reviews.decide(said(late)).state == "closed"
    assert reviews.next("bob") is None


def test_a_lease_expires_by_the_clock_of_the_database(url, asked, config):
    short = config.model_copy(update={"queue": config.queue.model_copy(update={"lease_s": 0.3})})
    reviews = Reviews(url, short)
    reviews.open("m", asked())
    ann = reviews.next("ann")
    assert reviews.next("bob") is None
    deadline = time.monotonic() + 30
    while (taken := reviews.next("bob")) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert taken.job["job_id"] == ann.job["job_id"]
    assert taken.claimed_at >= ann.expires_at


# -- deciding -------------------------------------------------------------------------------------------------------


def test_a_decision_keeps_who_when_how_long_before_and_after(reviews, asked, rows):
    reviews.open("m", asked())
    claim = reviews.next("ann")
    done = reviews.decide(said(claim, "correct", "peek", note="leans out"))
    assert (done.new, done.state, done.verdict, done.intent) == (True, "closed", "correct", "peek")
    assert rows("SELECT reviewer, token, verdict, intent_before, intent_after, note FROM review_decisions") == [
        ("ann", claim.token, "correct", "hold", "peek", "leans out")
    ]
    (decision,) = reviews.decisions().to_dicts()
    assert decision["took_ms"] >= 0
    assert decision["decided_at"] >= claim.claimed_at
    assert decision["decided_at"] - claim.claimed_at == timedelta(milliseconds=decision["took_ms"])
    assert actions(rows, claim.job["job_id"]) == ["opened", "claimed", "decided", "closed"]


def test_the_same_decision_twice_counts_once(reviews, asked, rows):
    reviews.open("m", asked())
    claim = reviews.next("ann")
    first = reviews.decide(said(claim, decision_id="d1"))
    again = reviews.decide(said(claim, decision_id="d1"))
    assert (first.new, again.new) == (True, False)
    assert (again.state, again.verdict, again.intent) == (first.state, first.verdict, first.intent)
    assert reviews.decided() == 1
    assert actions(rows, claim.job["job_id"]).count("decided") == 1
    unnamed = Reviews(reviews._database._url)
    unnamed.open("n", asked(match_id="n", model_version="v2"))
    claim = unnamed.next("ann")
    assert [unnamed.decide(said(claim)).new for _ in range(2)] == [True, False]


def test_a_second_and_different_decision_is_refused(reviews, asked):
    reviews.open("m", asked(wanted=2))
    claim = reviews.next("ann")
    reviews.decide(said(claim, decision_id="d1"))
    with pytest.raises(DecisionConflict, match="d1 is accept"):
        reviews.decide(said(claim, "reject", decision_id="d1"))
    with pytest.raises(AlreadyDecided, match=r"ann has decided .* accept"):
        reviews.decide(said(claim, "reject", decision_id="d2"))
    assert reviews.next("ann") is None
    assert reviews.decisions()["verdict"].to_list() == ["accept"]


def test_the_same_decision_from_many_processes_at_once_counts_once(url, asked):
    reviews = Reviews(url)
    reviews.open("m", asked())
    claim = reviews.next("ann")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: Reviews(url).decide(said(claim, decision_id="d1")).new, range(4)))
    assert sorted(done) == [False, False, False, True]
    assert reviews.decided() == 1


def test_a_decision_that_cannot_be_leaves_the_claim_as_it_was(reviews, asked):
    reviews.open("m", asked())
    claim = reviews.next("ann")
    with pytest.raises(BadDecision):
        reviews.decide(said(claim, "correct"))
    with pytest.raises(UnknownIntent):
        reviews.decide(said(claim, "correct", "camp"))
    with pytest.raises(LeaseLost, match="claim the job first"):
        reviews.decide(Decision(claim.job["job_id"], "eve", "accept", token=claim.token))
    with pytest.raises(LeaseLost):
        reviews.decide(Decision(claim.job["job_id"], "eve", "accept", decision_id="d"))
    with pytest.raises(BadDecision, match="id of its own"):
        reviews.decide(Decision(claim.job["job_id"], "eve", "accept"))
    with pytest.raises(JobUnknown):
        reviews.decide(Decision("feed", "ann", "accept", token=claim.token))
    assert reviews.decided() == 0
    assert reviews.decide(said(claim)).state == "closed"


def test_a_skipped_job_goes_to_somebody_else(reviews, asked):
    reviews.open("m", asked())
    claim = reviews.next("ann")
    assert reviews.decide(said(claim, "skip")).state == "open"
    assert reviews.next("ann") is None
    assert reviews.decided() == 0
    bob = reviews.next("bob")
    assert bob.job["job_id"] == claim.job["job_id"]
    assert reviews.next("ann", job_id=claim.job["job_id"]) is None, "bob has it"
    reviews.decide(said(bob, "skip"))
    again = reviews.next("ann", job_id=claim.job["job_id"])
    assert reviews.decide(said(again)).state == "closed"


# -- two reviewers --------------------------------------------------------------------------------------------------


def test_a_job_for_two_closes_with_the_second_and_never_asks_one_person_twice(reviews, asked):
    reviews.open("m", asked(wanted=2))
    ann, bob = reviews.next("ann"), reviews.next("bob")
    assert ann.job["job_id"] == bob.job["job_id"]
    assert reviews.next("cy") is None
    assert reviews.decide(said(ann)).state == "open"
    assert reviews.next("ann") is None
    assert reviews.next("cy") is None, "bob still has the other place"
    done = reviews.decide(said(bob))
    assert (done.state, done.verdict, done.intent) == ("closed", "accept", "hold")


def test_of_two_leases_only_as_many_are_taken_over_as_there_are_others_who_come(reviews, asked, rows):
    reviews.open("m", asked(wanted=2))
    ann = reviews.next("ann")
    expire(rows, ann.token)
    reviews.next("bob")
    assert reviews.decide(said(ann)).new, "there was a second place for bob"
    cy = reviews.next("cy")
    assert cy is None


def test_where_two_differ_a_third_decides(reviews, asked, rows):
    reviews.open("m", asked(wanted=2))
    reviews.decide(said(reviews.next("ann")))
    tied = reviews.decide(said(reviews.next("bob"), "correct", "peek"))
    assert (tied.state, tied.verdict) == ("open", None)
    assert reviews.gold().is_empty()
    third = reviews.decide(said(reviews.next("cy"), "correct", "peek"))
    assert (third.state, third.verdict, third.intent) == ("closed", "correct", "peek")
    assert reviews.gold()["intent"].to_list() == ["peek"]
    assert "asks_another" in actions(rows, third.job_id)


def test_where_three_differ_nobody_knows(reviews, asked):
    reviews.open("m", asked(wanted=2))
    for who, verdict, intent in (("ann", "accept", None), ("bob", "correct", "peek"), ("cy", "reject", None)):
        done = reviews.decide(said(reviews.next(who), verdict, intent))
    assert (done.state, done.verdict, done.intent) == ("closed", "disputed", None)
    assert reviews.gold().is_empty()
    assert reviews.decided() == 3


def test_agreement_of_two_reviewers_is_read_from_their_decisions(reviews, asked):
    reviews.open("m", asked(4, wanted=2))
    for number in range(4):
        reviews.decide(said(reviews.next("ann"), *(("correct", "peek") if number % 2 else ("accept",))))
        reviews.decide(said(reviews.next("bob"), *(("correct", "peek") if number == 1 else ("accept",))))
    (pair,) = agreement(reviews.decisions()).to_dicts()
    assert (pair["jobs"], pair["agreed"], pair["kappa"]) == (4, 0.75, pytest.approx(0.5))


# -- what is learned ------------------------------------------------------------------------------------------------


def test_gold_is_one_row_per_stretch_with_what_people_say_it_was(reviews, asked):
    reviews.open("m", asked(3, wanted=[2, 1, 1]))
    ann = reviews.next("ann")
    reviews.decide(said(reviews.next("bob"), "correct", "peek"))
    reviews.decide(said(ann, "correct", "peek"))
    reviews.decide(said(reviews.next("ann"), "reject"))
    gold = reviews.gold(["m"])
    assert gold.select("match_id", "player", "from_ms", "to_ms", "intent", "predicted", "reviewers").rows() == [
        ("m", "player:a", 0, 750, "peek", "hold", ["bob", "ann"]),
        ("m", "player:a", 1000, 1750, None, "hold", ["ann"]),
    ]
    assert reviews.gold(["other"]).is_empty()
    assert reviews.gold(["other"]).schema == gold.schema
    assert reviews.decisions(["m"]).select("reviewer", "intent").rows() == [
        ("bob", "peek"),
        ("ann", "peek"),
        ("ann", None),
    ]


# -- crashes and crowds ---------------------------------------------------------------------------------------------


def test_a_reviewer_killed_between_claim_and_decision_finds_the_job_again_and_others_after_the_lease(
    url, reviews, asked, rows
):
    reviews.open("m", asked())
    process = subprocess.Popen([sys.executable, "-c", CLAIMS_AND_WAITS, url], stdout=subprocess.PIPE)
    token = int(process.stdout.readline())
    process.kill()
    process.wait()
    assert reviews.next("bob") is None
    again = reviews.next("ann")
    assert again.token == token
    expire(rows, token)
    assert reviews.decide(said(reviews.next("bob"))).state == "closed"
    with pytest.raises(LeaseLost):
        reviews.decide(said(again))


def test_processes_that_drain_the_queue_share_it_without_a_job_twice(url, reviews, asked, rows):
    reviews.open("m", asked(40))
    crowd = [
        subprocess.Popen([sys.executable, "-c", DRAINS, url, f"r{number}"], stdout=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    took = [process.communicate(timeout=200)[0].split() for process in crowd]
    assert [process.returncode for process in crowd] == [0, 0]
    assert sorted(job for jobs in took for job in jobs) == sorted(asked(40)["job_id"])
    assert rows("SELECT count(*), count(DISTINCT job_id) FROM review_claims") == [(40, 40)]
    assert reviews.counts() == {"closed": 40}


def test_people_who_ask_at_once_never_get_the_same_place(url, asked, rows):
    everyone = Reviews(url)
    everyone.open("m", asked(8, wanted=[2, *[1] * 7]))
    names = [f"r{number}" for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        claims = list(pool.map(lambda name: Reviews(url).next(name), names))
    got = [claim.job["segment_id"] for claim in claims if claim]
    assert len(got) == 9
    assert len(set(got)) == 8
    assert got.count("0" * 16) == 2


def test_one_person_who_asks_from_two_places_at_once_has_one_job(url, reviews, asked, rows):
    reviews.open("m", asked(4))
    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(lambda _: Reviews(url).next("ann"), range(4)))
    assert len({claim.token for claim in claims}) == 1
    assert rows("SELECT count(*) FROM review_claims") == [(1,)]
