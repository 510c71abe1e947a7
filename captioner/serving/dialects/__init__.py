"""The protocols of other caption servers, so that existing programs can use this one; they only return captions."""
