"""Zip files, as torch.save writes them, checked before anybody unpacks them."""

import os
import zipfile
from typing import BinaryIO

#: of the attributes of a member, as DOS has them
FOLDER = 0x10


def require_whole(file: BinaryIO) -> None:
    """Raise unless every member is there, stored as it is, with the right checksum.

    torch.load ignores the checksums, and unpacks what is compressed, however large it claims to
    become. Of a member that is marked as a folder it reads nothing, and takes for numbers what
    happened to be in memory.

    Raises:
        ValueError: a compressed or repeated member, a folder, or a wrong checksum.
        zipfile.BadZipFile: it is no zip file, or only part of one.
    """
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > size:
            raise ValueError("compressed")
        if len(set(archive.namelist())) < len(members):
            raise ValueError("a member twice")
        if any(member.is_dir() or member.external_attr & FOLDER for member in members):
            raise ValueError("a folder")
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"{damaged}: wrong checksum")
    file.seek(0)
