-- An idempotency key is <entity>/<id>/<version>, and <version>.n only for a further write of that version: the number
-- counts for the version that it was taken for, and for no other.
alter table base add column key_version bigint not null default 0;
update base b set key_version = g.version from golden g
where b.key_number > 0 and g.entity = b.entity and g.id = b.id;
