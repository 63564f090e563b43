package dev.twinsync.capture;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The tables whose changes concern an entity, and the column of each that holds the entity's key: {@code
 * public.orders.order_id, public.order_items.order_id}. The first is the entity's own table.
 */
public record KeyColumns(String text, Map<String, String> columns) {

    public static KeyColumns of(String text) {
        Map<String, String> columns = new LinkedHashMap<>();
        for (String part : text.strip().split("\\s*,\\s*")) {
            int dot = part.lastIndexOf('.');
            if (part.chars().filter(c -> c == '.').count() != 2 || dot == part.length() - 1 || part.startsWith(".")) {
                throw new IllegalArgumentException(
                        "keys: write schema.table.column, separated by commas, not '" + part + "'");
            }
            columns.put(part.substring(0, dot), part.substring(dot + 1));
        }
        return new KeyColumns(text, columns);
    }

    /** The column of a table that a message names with or without its schema, or null where it concerns nobody here. */
    public String column(String schema, String table) {
        if (schema != null) {
            return columns.get(schema + '.' + table);
        }
        return columns.entrySet().stream()
                .filter(entry -> entry.getKey().endsWith('.' + table))
                .map(Map.Entry::getValue)
                .findFirst()
                .orElse(null);
    }
}
