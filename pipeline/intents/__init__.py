"""What was meant: rules, labels in hindsight, the model, segments."""
