-- items are a whole: where they are set, those that were there go
delete from order_items i
using jsonb_to_recordset(cast(:?rows as jsonb)) as r (id text, data jsonb)
where i.order_id = r.id and jsonb_exists(r.data, 'items')
