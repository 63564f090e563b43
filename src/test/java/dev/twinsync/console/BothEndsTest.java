package dev.twinsync.console;

import static com.microsoft.playwright.assertions.PlaywrightAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.microsoft.playwright.Locator;
import com.microsoft.playwright.Page;
import com.microsoft.playwright.assertions.LocatorAssertions.ContainsTextOptions;
import com.microsoft.playwright.assertions.LocatorAssertions.HasCountOptions;
import com.microsoft.playwright.assertions.LocatorAssertions.HasTextOptions;
import java.time.Duration;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The first minutes with Twinsync: change something on one side, see it on the other, and mend what is refused. */
class BothEndsTest extends Browsing {

    private static final ContainsTextOptions SOON = new ContainsTextOptions().setTimeout(30_000);

    private static final HasTextOptions LATER = new HasTextOptions().setTimeout(30_000);

    @BeforeEach
    void oneUserAndTwoOrders() {
        Shots.fill(app, mini);
    }

    @Test
    void aNicknameChangedInTheAppArrivesOnThePhoneAndBack() {
        Page page = as("operator");
        page.navigate(home + "/console/demo");
        rename(page, "app", "去往小程序");
        assertThat(page.locator("#mini-user-123456")).containsText("去往小程序", SOON);
        assertThat(page.locator("#arrivals li").first()).containsText(Pattern.compile("\\d+ ms"), SOON);
        rename(page, "mini", "回到App");
        assertThat(page.locator("#app-user-123456")).containsText("回到App", SOON);
    }

    private static void rename(Page page, String side, String nickname) {
        Locator row = page.locator("#" + side + "-user-123456");
        row.locator("summary").click();
        row.locator("[name=nickname]").fill(nickname);
        row.locator("form button").click();
    }

    @Test
    void anOrderShippedInTheAppIsShippedOnThePhone() {
        Page page = as("operator");
        page.navigate(home + "/console/demo");
        Locator there = page.locator("#mini-order-789012 b").first();
        assertThat(there).hasText("to be paid", LATER);
        page.locator("#mini-order-789012 button").click();
        assertThat(page.locator("#app-order-789012 b")).hasText("paid", LATER);
        page.locator("#app-order-789012 button").click();
        assertThat(there).hasText("shipped", LATER);
    }

    @Test
    void theRefusedOrderLeadsToTheDeskAndEndsEqual() {
        Page page = as("operator");
        page.navigate(home + "/console/demo");
        Locator refused = page.locator("#app-order-800042 a.chip.bad");
        assertThat(refused).hasCount(1, new HasCountOptions().setTimeout(30_000));
        String letter = refused.getAttribute("href");
        refused.click();
        assertThat(page).hasURL(home + letter);
        assertThat(page.locator("h1")).containsText("800042");
        assertThat(page.locator(".note.bad").first()).containsText("422");
        assertThat(page.locator(".note.wait")).containsText("would be sent");
        // as long as its cause is there, a retry ends where it began, and the page says so by itself
        page.locator(".title-row button.primary").first().click();
        assertThat(page.locator("main")).containsText("failed again", SOON);
        page.locator("h1 a").click();
        assertThat(page.locator("section[aria-labelledby=letters]")).containsText("open");
        assertThat(page.locator(".note.bad")).containsText("has refused this version");
        page.navigate(home + "/console/demo");
        page.locator("#mini-order-800042 button.danger").click();
        assertThat(page.locator("#mini-order-800042")).containsText("retry its letter", SOON);
        page.locator("#app-order-800042 a.chip.bad").click();
        page.locator(".title-row button.primary").first().click();
        // the page waits for the end by itself
        assertThat(page.locator("#state")).hasText("resolved", LATER);
        page.navigate(home + "/console/demo");
        assertThat(page.locator("#mini-order-800042 b").first()).hasText("paid", LATER);
        assertThat(page.locator("#app-order-800042 a.chip.bad")).hasCount(0, new HasCountOptions().setTimeout(30_000));
        await().atMost(Duration.ofSeconds(30)).untilAsserted(() -> {
            page.navigate(home + "/console/orders/800042?live=true");
            assertThat(page.locator("td.differs, td.due").allInnerTexts()).isEmpty();
            assertThat(page.locator("th.now .chip.good").count()).isEqualTo(2);
        });
    }
}
