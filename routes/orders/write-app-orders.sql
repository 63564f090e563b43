-- rows: [{id, insert, data}]; of a row that is there, data holds only the fields to set, null clears
with incoming as (
  select r.id, r."insert", r.data, n.*
  from jsonb_to_recordset(cast(:?rows as jsonb)) as r (id text, "insert" boolean, data jsonb)
  cross join jsonb_to_record(r.data) as n (user_id text, status text, payment_amount numeric, currency text,
    payment_method text, wechat_transaction_id text, shipping_info jsonb, paid_at timestamptz, shipped_at timestamptz,
    delivered_at timestamptz, created_at timestamptz, deleted boolean)
), updated as (
  update orders o set
    user_id               = case when jsonb_exists(i.data, 'user_id')        then i.user_id        else o.user_id        end,
    status                = case when jsonb_exists(i.data, 'status')         then i.status         else o.status         end,
    payment_amount        = case when jsonb_exists(i.data, 'payment_amount') then i.payment_amount else o.payment_amount end,
    currency              = case when jsonb_exists(i.data, 'currency') then coalesce(i.currency, 'CNY') else o.currency end,
    payment_method        = case when jsonb_exists(i.data, 'payment_method') then i.payment_method else o.payment_method end,
    wechat_transaction_id = case when jsonb_exists(i.data, 'wechat_transaction_id') then i.wechat_transaction_id
                            else o.wechat_transaction_id end,
    carrier               = case when jsonb_exists(i.data, 'shipping_info') then i.shipping_info ->> 'carrier'
                            else o.carrier end,
    tracking_number       = case when jsonb_exists(i.data, 'shipping_info') then i.shipping_info ->> 'tracking_number'
                            else o.tracking_number end,
    paid_at               = case when jsonb_exists(i.data, 'paid_at')      then i.paid_at      else o.paid_at      end,
    shipped_at            = case when jsonb_exists(i.data, 'shipped_at')   then i.shipped_at   else o.shipped_at   end,
    delivered_at          = case when jsonb_exists(i.data, 'delivered_at') then i.delivered_at else o.delivered_at end,
    created_at            = case when jsonb_exists(i.data, 'created_at') then coalesce(i.created_at, o.created_at)
                            else o.created_at end,
    deleted               = case when jsonb_exists(i.data, 'deleted') then coalesce(i.deleted, false) else o.deleted end,
    updated_at            = greatest(clock_timestamp(), o.updated_at + interval '1 microsecond')
  from incoming i
  where o.order_id = i.id and not i."insert"
  returning o.order_id
), inserted as (
  insert into orders (order_id, user_id, status, payment_amount, currency, payment_method, wechat_transaction_id, carrier,
    tracking_number, paid_at, shipped_at, delivered_at, deleted, created_at, updated_at)
  select id, user_id, status, payment_amount, coalesce(currency, 'CNY'), payment_method, wechat_transaction_id,
         shipping_info ->> 'carrier', shipping_info ->> 'tracking_number', paid_at, shipped_at, delivered_at,
         coalesce(deleted, false), coalesce(created_at, clock_timestamp()), clock_timestamp()
  from incoming where "insert"
  returning order_id
)
select (select count(*) from updated) + (select count(*) from inserted) as written
