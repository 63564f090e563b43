-- Keys are looked up by every statement: as bytes, in whatever language the database sorts. A comparison by the rules of
-- a language costs several times that, and the listings of both ends are sorted by bytes anyway. No table is written anew,
-- but each index on a key is; history, whose indices are by far the largest, is looked up by people alone, and stays.
alter table golden alter column entity type text collate "C", alter column id type text collate "C";
alter table base alter column entity type text collate "C", alter column id type text collate "C",
  alter column system type text collate "C";
alter table due alter column entity type text collate "C", alter column id type text collate "C",
  alter column system type text collate "C";
alter table conflict alter column entity type text collate "C", alter column record_id type text collate "C",
  alter column path type text collate "C";
alter table dead_letter alter column entity type text collate "C", alter column record_id type text collate "C",
  alter column system type text collate "C";
alter table verification_difference alter column entity type text collate "C",
  alter column record_id type text collate "C", alter column system type text collate "C";
alter table shadow alter column entity type text collate "C", alter column id type text collate "C",
  alter column system type text collate "C";

-- Without the id, or a statement that looks for single keys may take this index for as good as the primary key, as long as
-- the table is small, and read it whole for each key once it isn't.
drop index due_since;
create index due_since on due ((entity || '/' || system), since);

-- A bulk writes all rows of a page at once, and each three times within a second: with less room than for two more of
-- each, a third of the writes move to another page and are entered in every index again.
alter table base set (fillfactor = 40);

-- what was known of the changed columns is forgotten with their types
analyze golden, base, due, conflict, dead_letter, verification_difference;
