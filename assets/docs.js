// Starts the viewer of the API document named by the page.
(() => {
  "use strict";
  const place = document.getElementById("docs");
  const { viewer, document: url } = place.dataset;
  if (viewer === "redoc") {
    window.Redoc.init(url, {}, place);
  } else {
    window.SwaggerUIBundle({
      url,
      domNode: place,
      deepLinking: true,
      presets: [window.SwaggerUIBundle.presets.apis],
      oauth2RedirectUrl: `${location.origin}/oauth2-redirect.html`,
      // Nothing about this API is sent to an outside validator.
      validatorUrl: null,
    });
  }
})();
