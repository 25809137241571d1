"""Who has to fix a recommendation, and until when: governance rules, assignments, reminders."""
