"""What people read: figures, summary, report and data set card."""
