from flowlat.archs.combconv import combconv

__all__ = ["combconv"]
