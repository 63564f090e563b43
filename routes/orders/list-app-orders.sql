select order_id as id from orders
where order_id collate "C" > cast(:?after as text)
order by order_id collate "C"
limit :?limit
