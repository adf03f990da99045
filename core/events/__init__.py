"""Events that nothing loses: recorded with the rows they tell of, relayed, delivered by group."""
