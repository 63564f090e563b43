-- for a first load, which compares both ends in one order; without an index in it each page reads all keys
select order_id as id from orders
where order_id collate "C" > cast(:?after as text)
order by order_id collate "C"
limit :?limit
