"""The schedules of a training that is made shorter or longer."""

from paddleseg.cvlibs.rules import is_share

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
    if _is_count(start) and _is_count(end):
        scaled["end_iter"] = max(end, start + 1)  # rounding must not end a loss before it starts
    return {**feature, "schedule": scaled}


def _times(value, ratio):
    """Return a number of iterations, or a rising list of them, times a ratio and rounded."""
    if isinstance(value, list):
        rising, least = [], 1
        for item in value:
            scaled = _times(item, ratio)
            rising.append(max(scaled, least) if _is_count(scaled) else scaled)
            least = rising[-1] + 1 if _is_count(scaled) else least
        return rising
    if is_share(value) or not _is_count(value):
        return value
    return max(round(value * ratio), 1) if value else value


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool)
