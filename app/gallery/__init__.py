"""People and their photos, kept encrypted and searched exactly; knows no HTTP and nothing else of app."""
