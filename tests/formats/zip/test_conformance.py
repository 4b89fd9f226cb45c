from __future__ import annotations

from backupkit.compression import Zstd
from backupkit.formats.zip.format import Zip
from backupkit.passphrase import Passphrase
from backupkit.protocols import Compressor, Encryptor, Format
from backupkit.testing.repositories import RepositoryTests
from tests.formats.zip.toy import ToyEncryptor


class TestPlainZip(RepositoryTests):
    def make_format(self) -> Format:
        return Zip()


class TestZipOfZstd(RepositoryTests):
    def make_format(self) -> Format:
        return Zip()

    def make_compressor(self) -> Compressor:
        return Zstd()


class TestEncryptedZip(RepositoryTests):
    def make_format(self) -> Format:
        return Zip()

    def make_encryptor(self) -> Passphrase:
        return Passphrase("five words are long enough")

    def make_wrong_encryptor(self) -> Passphrase:
        return Passphrase("but these are not they")


class TestZipEncryptedAsAWhole(RepositoryTests):
    def make_format(self) -> Format:
        return Zip()

    def make_encryptor(self) -> Encryptor:
        return ToyEncryptor(b"key")

    def make_wrong_encryptor(self) -> Encryptor:
        return ToyEncryptor(b"another key")
