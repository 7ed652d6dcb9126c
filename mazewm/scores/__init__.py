"""Room 9, scores: tables -> metrics with intervals, and claims with verdicts."""
