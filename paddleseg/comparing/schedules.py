"""The schedules of a training that is made shorter or longer."""

# The keys that count iterations.
_OF_RATES = ("decay_steps", "T_max", "step_size", "warmup_iters", "boundaries", "milestones")
_OF_FEATURES = ("start_iter", "warmup_iters", "end_iter")
_DECAYING = ("ExponentialDecay",)  # whose gamma is the factor of one iteration


def scaled_sections(config, ratio):
    """Return the sections of a config that hold schedules, each with its share of the training kept.

    What is no schedule is returned as it is, for the check of the config to refuse.

    Args:
        config: the whole config of a student, a dict.
        ratio: the new number of iterations over the old one.

    Returns:
        {"lr_scheduler": dict, "distill": dict}, without a section that the config does not have.
    """
    scaled = {}
    rates = config.get("lr_scheduler")
    if isinstance(rates, dict):
        scaled["lr_scheduler"] = _scaled_rates(rates, ratio)
    distill = config.get("distill")
    if isinstance(distill, dict) and isinstance(distill.get("features"), list):
        scaled["distill"] = {**distill, "features": [_scaled_feature(f, ratio) for f in distill["features"]]}
    return scaled


def _scaled_rates(rates, ratio):
    scaled = {key: _times(value, ratio) if key in _OF_RATES else value for key, value in rates.items()}
    gamma = rates.get("gamma")
    if rates.get("type") in _DECAYING and isinstance(gamma, float) and gamma > 0:
        scaled["gamma"] = gamma ** (1 / ratio)
    return scaled


def _scaled_feature(feature, ratio):
    if not isinstance(feature, dict) or not isinstance(feature.get("schedule"), dict):
        return feature
    schedule = feature["schedule"]
    scaled = {key: _times(value, ratio) if key in _OF_FEATURES else value for key, value in schedule.items()}
    start, end = scaled.get("start_iter", 0), scaled.get("end_iter")
    if _rise([schedule.get("start_iter", 0), schedule.get("end_iter")]):
        scaled["end_iter"] = max(end, start + 1)
    return {**feature, "schedule": scaled}


def _times(value, ratio):
    """Return a number of iterations, or a list of them, times a ratio and rounded.

    Rounding keeps apart what is apart in a rising list.
    """
    if isinstance(value, list):
        scaled = [_times(item, ratio) for item in value]
        for i in range(1, len(scaled) if _rise(value) else 0):
            scaled[i] = max(scaled[i], scaled[i - 1] + 1)
        return scaled
    if not _is_count(value) or not value:
        return value
    return max(round(value * ratio), 1)


def _rise(values):
    return all(map(_is_count, values)) and all(a < b for a, b in zip(values, values[1:]))


def _is_count(value):
    """Return whether a value counts iterations; 0.6 is a share of the training, and None no end."""
    return isinstance(value, int) and not isinstance(value, bool)
