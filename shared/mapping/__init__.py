"""Signal -> route -> ticket fields. Pure: values in, values out."""
