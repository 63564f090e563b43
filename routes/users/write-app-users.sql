-- rows: [{id, insert, data}]; of a row that is there, data holds only the fields to set, null clears
with incoming as (
  select r.id, r."insert", r.data, n.*
  from jsonb_to_recordset(cast(:?rows as jsonb)) as r (id text, "insert" boolean, data jsonb)
  cross join jsonb_to_record(r.data) as n (nickname text, avatar text, phone text, language text,
    notifications jsonb, unionid text, deleted boolean)
), updated as (
  update users u set
    nickname      = case when jsonb_exists(i.data, 'nickname')      then i.nickname      else u.nickname      end,
    avatar        = case when jsonb_exists(i.data, 'avatar')        then i.avatar        else u.avatar        end,
    phone         = case when jsonb_exists(i.data, 'phone')         then i.phone         else u.phone         end,
    language      = case when jsonb_exists(i.data, 'language')      then coalesce(i.language, 'zh-CN')
                    else u.language end,
    notifications = case when jsonb_exists(i.data, 'notifications') then coalesce(i.notifications, '{}')
                    else u.notifications end,
    unionid       = case when jsonb_exists(i.data, 'unionid')       then i.unionid       else u.unionid       end,
    deleted       = case when jsonb_exists(i.data, 'deleted')       then coalesce(i.deleted, false)
                    else u.deleted end,
    updated_at    = greatest(clock_timestamp(), u.updated_at + interval '1 microsecond')
  from incoming i
  where u.user_id = i.id and not i."insert"
  returning u.user_id
), inserted as (
  insert into users (user_id, nickname, avatar, phone, language, notifications, unionid, deleted, created_at, updated_at)
  select id, nickname, avatar, phone, coalesce(language, 'zh-CN'), coalesce(notifications, '{}'), unionid,
         coalesce(deleted, false), clock_timestamp(), clock_timestamp()
  from incoming where "insert"
  returning user_id
)
select (select count(*) from updated) + (select count(*) from inserted) as written
