-- rows: [{id, insert, data}]; of a row that is there, data holds only the fields to set, null clears
with incoming as (
  select r.id, r."insert", r.data, n.*
  from jsonb_to_recordset(cast(:?rows as jsonb)) as r (id text, "insert" boolean, data jsonb)
  cross join jsonb_to_record(r.data) as n (user_id text, title text, discount numeric, expires_at timestamptz,
    deleted boolean)
), updated as (
  update coupons c set
    user_id    = case when jsonb_exists(i.data, 'user_id')    then i.user_id                  else c.user_id    end,
    title      = case when jsonb_exists(i.data, 'title')      then i.title                    else c.title      end,
    discount   = case when jsonb_exists(i.data, 'discount')   then i.discount                 else c.discount   end,
    expires_at = case when jsonb_exists(i.data, 'expires_at') then i.expires_at               else c.expires_at end,
    deleted    = case when jsonb_exists(i.data, 'deleted')    then coalesce(i.deleted, false) else c.deleted    end,
    updated_at = greatest(clock_timestamp(), c.updated_at + interval '1 microsecond')
  from incoming i
  where c.coupon_id = i.id and not i."insert"
  returning c.coupon_id
), inserted as (
  insert into coupons (coupon_id, user_id, title, discount, expires_at, deleted, updated_at)
  select id, user_id, title, discount, expires_at, coalesce(deleted, false), clock_timestamp()
  from incoming where "insert"
  returning coupon_id
)
select (select count(*) from updated) + (select count(*) from inserted) as written
