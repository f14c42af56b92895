# Those that name words instead of ranking them.
SETS = (
    *("human", "explanation_words", "prompting", "prompting_top"),
    *("prompting_untrained", "prompting_top_untrained"),
)
