"""How a job runs: its log, signals, device, processes and cost."""
