"""HTML documentation out of a Debian package as a crawl: the .warc.gz that a crawler would have brought home."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import BufferWARCWriter

DATE = "2024-05-01T00:00:00Z"  # fixed, so that the same package gives the same records


def crawl(tar: bytes, folder: str, host: str, about: str) -> bytes:
    """Pack the HTML files of a package's file system.

    Args:
        tar: what ``dpkg-deb --fsys-tarfile`` prints.
        folder: the pages' folder in it; ``folder/de-DE/a.html`` becomes ``https://host/de-DE/a.html``.
        host: of the pages' addresses.
        about: a line for the warcinfo record, such as the package and its version.

    Returns:
        A .warc.gz: warcinfo, then a response of status 200 for each page. Files of one name that lie in several
        folders (languages) are next to each other, and the names are in the order of their digests: so a crawl's first
        pages are a sample of it, in all languages. Links are left out: their pages are there already.

    Raises:
        ValueError: there is no page in that folder.
    """
    pages = sorted(_pages(tar, folder), key=lambda page: (hashlib.sha256(_name(page[0])).digest(), page[0]))
    if not pages:
        raise ValueError(f"no HTML in {folder}")
    writer = BufferWARCWriter(gzip=True)
    info = {"software": "llmsys fetch-data", "format": "WARC File Format 1.0", "description": about}
    writer.write_record(_dated(writer.create_warcinfo_record(f"{host}.warc.gz", info), f"{host} {about}"))
    for path, content in pages:
        url = f"https://{host}/{path}"
        headers = [("Content-Type", "text/html; charset=UTF-8"), ("Content-Length", str(len(content)))]
        http = StatusAndHeaders("200 OK", headers, protocol="HTTP/1.1")
        record = writer.create_warc_record(url, "response", payload=io.BytesIO(content), http_headers=http)
        writer.write_record(_dated(record, url))
    return writer.get_contents()


def _pages(tar: bytes, folder: str) -> Iterator[tuple[str, bytes]]:
    """(path under `folder`, content in UTF-8) of each HTML file."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if member.isreg() and path.suffix in (".html", ".htm") and path.is_relative_to(folder):
                content = archive.extractfile(member)
                assert content is not None
                yield path.relative_to(folder).as_posix(), _utf8(content.read())


def _utf8(content: bytes) -> bytes:
    try:
        content.decode()
    except UnicodeDecodeError:  # the few old pages that are not in UTF-8 are in Latin-1
        return content.decode("latin-1").encode()
    return content


def _name(path: str) -> bytes:
    return path.rpartition("/")[2].encode()


def _dated(record: object, name: str) -> object:
    """The record with a date and an identity that do not depend on when it was written."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    uuid = f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
    record.rec_headers.replace_header("WARC-Date", DATE)  # type: ignore[attr-defined]
    record.rec_headers.replace_header("WARC-Record-ID", f"<urn:uuid:{uuid}>")  # type: ignore[attr-defined]
    return record
