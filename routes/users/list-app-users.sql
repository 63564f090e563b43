select user_id as id from users
where user_id collate "C" > cast(:?after as text)
order by user_id collate "C"
limit :?limit
