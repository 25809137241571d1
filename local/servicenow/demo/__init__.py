"""The demo data every instance starts with. All people and companies are invented, or part of the public demo data."""
