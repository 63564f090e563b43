-- What a system is owed, the oldest first. The leading expression keeps it from every statement that looks for single
-- keys: while the table is younger than its statistics, an index on the three columns looks as good for that as the
-- primary key, and each key then reads all that the system is owed.
drop index due_since;
create index due_since on due ((entity || '/' || system), since, id);
