insert into order_items (order_id, line_no, sku, title, quantity, unit_price)
select r.id, i.line_no, i.sku, i.title, i.quantity, i.unit_price
from jsonb_to_recordset(cast(:?rows as jsonb)) as r (id text, data jsonb)
cross join jsonb_to_recordset(case when jsonb_typeof(r.data -> 'items') = 'array' then r.data -> 'items' else '[]' end)
  as i (line_no int, sku text, title text, quantity int, unit_price numeric)
