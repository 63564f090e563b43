-- keys in the order of their positions; mark tells two states of one position apart
select order_id as id,
       to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at,
       xmin::text as mark
from orders
where (updated_at, order_id) > (cast(:?after_at as timestamptz), cast(:?after_id as text))
  and updated_at <= cast(:?until as timestamptz)
order by updated_at, order_id
limit :?limit
