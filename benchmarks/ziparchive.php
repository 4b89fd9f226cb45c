<?php
// What laravel-backup does to make an encrypted archive, and no more: PHP's ZipArchive, deflate at level 9, and
// encryption by opening the finished archive again, which writes all of it a second time.
//
//     php ziparchive.php TREE ARCHIVE    with the passphrase in ZIP_PASSPHRASE
[, $tree, $archive] = $argv;

$zip = new ZipArchive();
if ($zip->open($archive, ZipArchive::CREATE | ZipArchive::OVERWRITE) !== true) {
    exit(1);
}
$found = new RecursiveIteratorIterator(
    new RecursiveDirectoryIterator($tree, FilesystemIterator::SKIP_DOTS),
    RecursiveIteratorIterator::SELF_FIRST
);
foreach ($found as $path => $file) {
    $name = ltrim($path, '/');
    if ($file->isDir()) {
        $zip->addEmptyDir($name);
    } else {
        $zip->addFile($path, $name);
        $zip->setCompressionName($name, ZipArchive::CM_DEFAULT, 9);
    }
}
if (!$zip->close()) {
    exit(2);
}

if ($zip->open($archive) !== true) {
    exit(3);
}
$zip->setPassword(getenv('ZIP_PASSPHRASE'));
for ($index = 0; $index < $zip->numFiles; $index++) {
    $zip->setEncryptionIndex($index, ZipArchive::EM_AES_256);
}
exit($zip->close() ? 0 : 4);
