<?php
// Makes an archive the way laravel-backup does: files added with a method and a level, closed, and then
// opened again to be encrypted entry by entry. Arguments: archive, folder, passphrase or "", method, encryption.
[, $path, $folder, $passphrase, $method, $encryption] = $argv;
$zip = new ZipArchive();
if ($zip->open($path, ZipArchive::CREATE | ZipArchive::OVERWRITE) !== true) {
    exit(1);
}
$found = new RecursiveIteratorIterator(
    new RecursiveDirectoryIterator($folder, FilesystemIterator::SKIP_DOTS),
    RecursiveIteratorIterator::SELF_FIRST
);
foreach ($found as $file) {
    $name = substr($file->getPathname(), strlen($folder) + 1);
    if ($file->isDir()) {
        $zip->addEmptyDir($name);
    } else {
        $zip->addFile($file->getPathname(), $name);
    }
    $zip->setCompressionName($name, constant("ZipArchive::$method"), 9);
}
$zip->close();
if ($passphrase !== '') {
    $zip->open($path);
    $zip->setPassword($passphrase);
    for ($index = 0; $index < $zip->numFiles; $index++) {
        $zip->setEncryptionName($zip->getNameIndex($index), constant("ZipArchive::$encryption"));
    }
    exit($zip->close() ? 0 : 1);
}
