select coupon_id as id, md5(coupons::text) as digest,
       to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as position,
       jsonb_build_object(
         'user_id', user_id,
         'title', title,
         'discount', discount,
         'expires_at', expires_at,
         'deleted', deleted
       )::text as data
from coupons
where coupon_id = any (:?ids)
