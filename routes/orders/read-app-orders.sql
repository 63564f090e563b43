-- an order with its items as the app holds it, in canonical names; digest: whatever is changed in them changes it
select o.order_id as id,
       to_char(o.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as position,
       json_build_object(
         'user_id', o.user_id,
         'status', o.status,
         'payment_amount', o.payment_amount,
         'currency', o.currency,
         'payment_method', o.payment_method,
         'wechat_transaction_id', o.wechat_transaction_id,
         'shipping_info', json_build_object('carrier', o.carrier, 'tracking_number', o.tracking_number),
         'created_at', o.created_at,
         'paid_at', o.paid_at,
         'shipped_at', o.shipped_at,
         'delivered_at', o.delivered_at,
         'items', i.items,
         'deleted', o.deleted
       )::text as data,
       md5(o::text || coalesce(i.rows, '')) as digest
from orders o
cross join lateral (
  select json_agg(json_build_object('line_no', i.line_no, 'sku', i.sku, 'title', i.title,
           'quantity', i.quantity, 'unit_price', i.unit_price) order by i.line_no) as items,
         string_agg(i::text, '' order by i.line_no) as rows
  from order_items i where i.order_id = o.order_id) as i
where o.order_id = any (:?ids)
