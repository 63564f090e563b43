-- a user as the app holds it, in canonical names; what the app writes otherwise is put into normal form by the schema;
-- digest: whatever is changed in the row changes it
select user_id as id,
       to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as position,
       json_build_object(
         'nickname', nickname,
         'avatar', avatar,
         'phone', phone,
         'language', language,
         'notifications', notifications,
         'unionid', unionid,
         'deleted', deleted
       )::text as data,
       md5(users::text) as digest
from users
where user_id = any (:?ids)
