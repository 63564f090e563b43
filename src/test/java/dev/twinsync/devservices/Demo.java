package dev.twinsync.devservices;

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.OffsetDateTime;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Believable users and orders at both ends, the same on every start, and one order that the shop refuses. */
final class Demo {

    static final String REFUSED = "800042";

    private static final List<String> FAMILY =
            List.of("王", "李", "张", "刘", "陈", "杨", "黄", "赵", "吴", "周", "徐", "孙", "马", "朱", "胡", "林", "郭", "何");
    private static final List<String> GIVEN = List.of(
            "伟", "芳", "娜", "秀英", "敏", "静", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明", "超", "子涵", "欣怡", "浩然",
            "雨桐", "思远");
    private static final List<String[]> GOODS = List.of(
            new String[] {"TEA-LJ-250", "西湖龙井 250g", "168.00"},
            new String[] {"TEA-PE-357", "云南普洱熟茶饼 357g", "219.00"},
            new String[] {"CUP-CEL-1", "龙泉青瓷茶杯", "59.90"},
            new String[] {"SILK-SC-90", "苏州真丝方巾 90cm", "328.00"},
            new String[] {"NUT-WAL-500", "新疆纸皮核桃 500g", "39.80"},
            new String[] {"RICE-WC-5K", "五常大米 5kg", "89.90"},
            new String[] {"HON-QL-1K", "秦岭土蜂蜜 1kg", "99.00"},
            new String[] {"FAN-HZ-8", "杭州檀香扇", "126.00"});
    private static final List<String> CARRIERS = List.of("SF", "ZTO", "YTO", "JD", "EMS");
    private static final List<String> STATUSES =
            List.of("pending_payment", "paid", "paid", "shipped", "shipped", "delivered", "completed", "cancelled");

    private final Random random = new Random(20260101);

    private Demo() {}

    /** @param app null where the app is a real one; {@code mini} likewise */
    static void fill(Postgres app, MiniProgram mini) throws SQLException {
        new Demo().all(app, mini);
    }

    /** Whether Twinsync, whose state is in the app's database, knows what both ends hold of the user and the order to try. */
    static boolean isKnown(Postgres app) {
        try (Connection connection = app.connect();
                Statement statement = connection.createStatement();
                ResultSet known = statement.executeQuery("""
                        select count(*) = 4 from sync.base where known
                          and (entity, id) in (('user', '123456'), ('order', '789012'))""")) {
            return known.next() && known.getBoolean(1);
        } catch (SQLException e) {
            throw new IllegalStateException(e);
        }
    }

    private void all(Postgres app, MiniProgram mini) throws SQLException {
        try (Connection connection = app == null ? null : app.connect()) {
            user(connection, mini, "123456", "小明", "+8613800138000");
            order(connection, mini, "789012", "123456", "pending_payment", new BigDecimal("250.00"));
            for (int i = 0; i < 60; i++) {
                String id = String.valueOf(200001 + i);
                String name = pick(FAMILY) + pick(GIVEN);
                // some are at one end only when the service starts, and are soon at both
                boolean both = i % 10 != 0;
                user(
                        both || i % 20 == 0 ? connection : null,
                        both || i % 20 != 0 ? mini : null,
                        id,
                        name,
                        "+86138001%05d".formatted(i * 7 + 100));
                for (int j = 0; j < 1 + i % 3; j++) {
                    order(connection, both ? mini : null, String.valueOf(800100 + i * 3 + j), id, pick(STATUSES), null);
                }
            }
            if (mini != null) {
                mini.refuse("order", REFUSED, 422);
            }
            order(connection, null, REFUSED, "123456", "paid", null);
        }
    }

    private void user(Connection app, MiniProgram mini, String id, String name, String phone) throws SQLException {
        if (app != null) {
            try (PreparedStatement insert = app.prepareStatement(
                    "insert into users (user_id, nickname, avatar, phone, notifications) values (?, ?, ?, ?, '{\"order\": true}')")) {
                insert.setString(1, id);
                insert.setString(2, name);
                insert.setString(3, "https://img.example.com/a/" + id + ".jpg");
                insert.setString(4, phone);
                insert.executeUpdate();
            }
        }
        if (mini != null) {
            mini.edit(
                    "user",
                    id,
                    Map.of(
                            "nickname",
                            name,
                            "avatar",
                            "https://img.example.com/a/" + id + ".jpg",
                            "phone",
                            phone,
                            "language",
                            "zh-CN",
                            "notifications",
                            Map.of("order", true),
                            "deleted",
                            false));
        }
    }

    private void order(Connection app, MiniProgram mini, String id, String user, String status, BigDecimal amount)
            throws SQLException {
        String[] goods = pick(GOODS);
        int quantity = 1 + random.nextInt(3);
        BigDecimal price = new BigDecimal(goods[2]);
        BigDecimal total = amount == null ? price.multiply(BigDecimal.valueOf(quantity)) : amount;
        boolean shipped = List.of("shipped", "delivered", "completed").contains(status);
        String carrier = shipped ? pick(CARRIERS) : null;
        String tracking = shipped ? carrier + (1_000_000_000L + random.nextInt(900_000_000)) : null;
        OffsetDateTime created =
                OffsetDateTime.parse("2026-01-01T08:00:00+08:00").plusMinutes(random.nextInt(100_000));
        if (app != null) {
            try (PreparedStatement insert = app.prepareStatement("""
                            insert into orders (order_id, user_id, status, payment_amount, payment_method, carrier,
                              tracking_number, created_at) values (?, ?, ?, ?, 'wechat_pay', ?, ?, ?)""");
                    PreparedStatement item =
                            app.prepareStatement("insert into order_items values (?, 1, ?, ?, ?, ?)")) {
                insert.setString(1, id);
                insert.setString(2, user);
                insert.setString(3, status);
                insert.setBigDecimal(4, total);
                insert.setString(5, carrier);
                insert.setString(6, tracking);
                insert.setObject(7, created);
                insert.executeUpdate();
                item.setString(1, id);
                item.setString(2, goods[0]);
                item.setString(3, goods[1]);
                item.setInt(4, quantity);
                item.setBigDecimal(5, price);
                item.executeUpdate();
            }
        }
        if (mini != null) {
            Map<String, Object> order = new HashMap<>(Map.of(
                    "user_id",
                    user,
                    "status",
                    status,
                    "payment_amount",
                    total.setScale(2),
                    "currency",
                    "CNY",
                    "payment_method",
                    "wechat_pay",
                    "created_at",
                    created.toInstant().toString(),
                    "items",
                    List.of(Map.of(
                            "line_no",
                            1,
                            "sku",
                            goods[0],
                            "title",
                            goods[1],
                            "quantity",
                            quantity,
                            "unit_price",
                            price)),
                    "deleted",
                    false));
            if (shipped) {
                order.put("shipping_info", Map.of("carrier", carrier, "tracking_number", tracking));
            }
            mini.edit("order", id, order);
        }
    }

    private <T> T pick(List<T> list) {
        return list.get(random.nextInt(list.size()));
    }
}
