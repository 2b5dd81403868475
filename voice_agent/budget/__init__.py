"""What each stage may cost. In: a turn's segments in ms and the budgets of the pipeline's TOML;
out: a verdict that names the guilty stage. Pure."""
