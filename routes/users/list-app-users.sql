-- for a first load, which compares both ends in one order; without an index in it each page reads all keys
select user_id as id from users
where user_id collate "C" > cast(:?after as text)
order by user_id collate "C"
limit :?limit
