"""Pictures and a page of what runs left behind: python -m flowlat.report RUN..."""
