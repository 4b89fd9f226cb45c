CREATE TABLE `parents` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  `child` bigint unsigned NULL,
  `name` varchar(80) NOT NULL COMMENT 'quotes '' and "',
  UNIQUE KEY (`name`)
) ENGINE=InnoDB AUTO_INCREMENT=5000 DEFAULT CHARSET=utf8mb4;
CREATE TABLE `children` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  `parent` bigint unsigned NOT NULL,
  CONSTRAINT `up` FOREIGN KEY (`parent`) REFERENCES `parents` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB;
ALTER TABLE `parents` ADD CONSTRAINT `down` FOREIGN KEY (`child`) REFERENCES `children` (`id`) ON DELETE SET NULL;
INSERT INTO `parents` VALUES (1,NULL,'one'),(2,NULL,'two');
INSERT INTO `children` VALUES (1,1),(2,2);
UPDATE `parents` SET `child`=`id`;
CREATE TABLE `types` (
  `id` int NOT NULL PRIMARY KEY,
  `t` tinyint, `s` smallint, `m` mediumint, `i` int unsigned, `l` bigint, `z` int(8) unsigned zerofill,
  `b1` bit(1), `b64` bit(64), `bool` boolean,
  `dec` decimal(65,30), `f` float, `d` double,
  `date` date, `time` time(6), `dt` datetime(6), `ts` timestamp(6) NULL, `y` year,
  `c` char(10), `v` varchar(200), `bin` binary(16), `vb` varbinary(255),
  `tt` tinytext, `te` text, `mt` mediumtext, `lt` longtext,
  `tb` tinyblob, `bl` blob, `mb` mediumblob, `lb` longblob,
  `e` enum('a','it''s','ü'), `set` set('x','y','z'), `j` json, `g` geometry, `p` point,
  `old` varchar(50) CHARACTER SET latin1, `ucs` varchar(50) CHARACTER SET utf16,
  `sum` decimal(20,2) GENERATED ALWAYS AS (`i` * 1.5) STORED,
  `up` varchar(210) GENERATED ALWAYS AS (concat(`v`,'!')) VIRTUAL,
  `def` varchar(100) DEFAULT 'a\'b\\c\nd',
  CHECK (`t` <> 99 OR `v` <> ') ENGINE=InnoDB AUTO_INCREMENT=3')
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE `it's "odd" ``name``` (`the ``key``` int NOT NULL PRIMARY KEY, `VALUES (` text) ENGINE=InnoDB;
INSERT INTO `it's "odd" ``name``` VALUES (1,'x),(2'),(2,'INSERT INTO `t` VALUES (1);'),(3,'\\'),(4,'\'),('),(5,'\n-- Dump completed\n');
CREATE TABLE `Ünïcode` (`naïve` varchar(20)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `Ünïcode` VALUES ('日本語'),('😀'),('🇪🇺');
CREATE TABLE `parts` (`id` int NOT NULL, `y` int NOT NULL, PRIMARY KEY (`id`,`y`)) ENGINE=InnoDB
  PARTITION BY RANGE (`y`) (PARTITION `p0` VALUES LESS THAN (2020), PARTITION `p1` VALUES LESS THAN MAXVALUE);
INSERT INTO `parts` VALUES (1,2019),(2,2030);
CREATE TABLE `empty` (`id` int AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB;
CREATE TABLE `history` (`id` int PRIMARY KEY, `v` int) ENGINE=InnoDB WITH SYSTEM VERSIONING;
INSERT INTO `history` VALUES (1,1),(2,2);
CREATE SEQUENCE `numbers` START WITH 100 INCREMENT BY 5;
CREATE TABLE `log` (`id` int AUTO_INCREMENT PRIMARY KEY, `what` varchar(100) DEFAULT NULL) ENGINE=InnoDB;
CREATE VIEW `b_view` AS SELECT `id`, `name` FROM `parents`;
CREATE SQL SECURITY INVOKER VIEW `a_view` AS SELECT `b`.`name`, 'line\nbreak' AS `l` FROM `b_view` `b`;
CREATE TABLE `addresses` (`u` uuid, `i` inet6) ENGINE=InnoDB;
INSERT INTO `addresses` VALUES ('123e4567-e89b-12d3-a456-426655440000', '2001:db8::ff00:42:8329'), (NULL, '::1');
