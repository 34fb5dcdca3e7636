"""The commands: flags become options, errors become exit statuses. The only room that knows argparse."""
